"""Frames between a worker and its server."""

import asyncio
import json
import socket
import struct
import time
from functools import partial

import pytest

from server.workers.wire import BrokenWireError, Channel, Frame, FrameReader, pack


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        yield Channel(theirs), Channel(ours)


def received(channel, count):
    return [frame.body["n"] for frame in (channel.receive() for _ in range(count)) if frame]


def test_held_frames_arrive_in_order_before_the_one_that_is_sent(ends):
    sender, receiver = ends
    sender.hold({"n": 1})
    sender.hold({"n": 2})
    sender.send({"n": 3})
    sender.hold({"n": 4})
    sender.send({"n": 5})

    assert received(receiver, 5) == [1, 2, 3, 4, 5]


def test_a_held_frame_that_nothing_follows_arrives_soon(ends):
    sender, receiver = ends
    begin = time.monotonic()
    for number in range(3):
        sender.hold({"n": number})
        assert received(receiver, 1) == [number]

    assert time.monotonic() - begin < 5


def test_many_held_frames_are_sent_without_waiting(ends, monkeypatch):
    monkeypatch.setattr("server.workers.wire._LONGEST_HOLD", 3600)
    sender, receiver = ends
    for number in range(100):
        sender.hold({"n": number})

    assert received(receiver, 100) == list(range(100))


def read(parts):
    """The frames in bytes that come in these parts, and then the end."""

    async def scenario():
        stream, found = asyncio.StreamReader(), []
        frames = FrameReader(stream)

        async def take():
            while (frame := await frames.next()) is not None:
                found.append(frame)

        taking = asyncio.create_task(take())
        for part in parts:
            stream.feed_data(part)
            await asyncio.sleep(0)
        stream.feed_eof()
        await taking
        return found

    return asyncio.run(scenario())


FRAMES = [Frame({"n": 1, "text": "größer"}), Frame({}, b"image"), Frame({"n": 3}, bytes(1000))]


@pytest.mark.parametrize("size", [1, 7, 50, 10_000])
def test_frames_are_the_same_in_whatever_parts_they_come(size):
    data = b"".join(map(pack, FRAMES))

    parts = [data[start : start + size] for start in range(0, len(data), size)]

    assert read(parts) == FRAMES


@pytest.mark.parametrize("lost", [1, 900, 1005])
def test_a_frame_that_is_cut_off_is_none(lost):
    data = b"".join(map(pack, FRAMES))

    assert read([data[:-lost]]) == FRAMES[:2]


def test_a_frame_that_says_it_is_huge_is_refused_at_once():
    with pytest.raises(BrokenWireError, match="longer than allowed"):
        read([b"\xff" * 8])


def sent(send):
    """The bytes that a worker's end has sent after `send`, which gets it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(Channel(theirs))
        theirs.shutdown(socket.SHUT_WR)
        return b"".join(iter(partial(ours.recv, 2**16), b""))


def test_frames_that_are_sent_together_share_one_up_to_those_with_bytes():
    def send(channel):
        for number in range(3):
            channel.hold({"n": number})
        channel.send({"n": 3}, b"image")
        channel.hold({"n": 4})
        channel.send({"n": 5})

    data = sent(send)

    frames = [Frame({"n": n}, b"image" if n == 3 else b"") for n in range(6)]
    assert read([data[:5], data[5:60], data[60:]]) == frames
    length = len(json.dumps([{"n": n} for n in range(3)], separators=(",", ":")))
    assert data.startswith(struct.pack("<II", length, 0) + b"[")
    assert data.count(b"[") == 2


def test_large_frames_share_none(monkeypatch):
    monkeypatch.setattr("server.workers.wire._AT_ONCE", 100)
    text = "x" * 80

    data = sent(lambda channel: (channel.hold({"a": text}), channel.send({"b": text})))

    assert read([data]) == [Frame({"a": text}), Frame({"b": text})]
    assert b"[" not in data


def test_a_body_that_is_no_json_is_refused_when_it_is_held(ends):
    sender, receiver = ends
    sender.hold({"n": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        sender.hold({"n": float("nan")})
    sender.send({"n": 2})

    assert received(receiver, 2) == [1, 2]


@pytest.mark.parametrize("body", [b"3", b"[]", b'[{"n":1},3]'])
def test_a_body_that_is_neither_an_object_nor_a_list_of_some_is_refused(body):
    with pytest.raises(BrokenWireError, match="neither a JSON object"):
        read([struct.pack("<II", len(body), 0) + body])
