"""Frames between a worker and its server."""

import socket
import time

import pytest

from server.workers.wire import Channel


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
