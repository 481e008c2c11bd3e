"""A worker's reports on the state of its caches."""

import socket
from types import SimpleNamespace

import pytest

from nodegraph.cache.content import ContentCache
from nodegraph.cache.entry import entry_of
from nodegraph.runtime.model_pool import ModelPool
from server.worker_process.reports import CacheReports
from server.workers.wire import Channel


@pytest.fixture
def caches():
    return SimpleNamespace(cache=ContentCache(), models=ModelPool())


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        yield Channel(theirs), Channel(ours)


def entries(channel):
    frame = channel.receive()
    assert frame.body["op"] == "cache"
    return frame.body["results"]["entries"]


def test_a_state_that_is_not_due_is_told_once_after_the_pause(caches, ends, monkeypatch):
    monkeypatch.setattr("server.worker_process.reports.PAUSE", 0.05)
    sender, receiver = ends
    reports = CacheReports(caches, sender)
    reports.send()
    for number in range(3):
        caches.cache.put(f"key {number}", entry_of((number,), None, 1.0))
    for _ in range(3):
        reports.send_when_due()

    assert [entries(receiver), entries(receiver)] == [0, 3]

    reports.send_when_due()

    assert entries(receiver) == 3
