"""Frames between a worker and its server."""

import asyncio
import socket
import time

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
