"""A worker that can not be started now is started later; its questions always get an answer."""

import asyncio
from pathlib import Path

import pytest

from server.observability.metrics import Metrics
from server.workers import local
from server.workers.devices import Device
from server.workers.local import LocalWorker, ServerHooks

OPTIONS = {"flags": {}, "log_levels": {}}


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_without_descriptors_it_is_tried_again(monkeypatch):
    begin, tries = asyncio.create_subprocess_exec, []

    async def fails_twice(*command, **options):
        tries.append(command)
        if len(tries) < 3:
            raise OSError(24, "Too many open files")
        return await begin(*command, **options)

    async def namer(_body):
        raise AssertionError

    async def scenario():
        ready = asyncio.Event()
        worker = LocalWorker(Device("cpu", {}), OPTIONS, ServerHooks(namer, Metrics(), ready.set))
        await worker.start()
        async with asyncio.timeout(60):
            await ready.wait()
        await worker.stop()

    monkeypatch.setattr(local, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", fails_twice)
    monkeypatch.setenv("NODEGRAPH_PACKS", "nodes")
    before = descriptors()
    asyncio.run(scenario())

    assert len(tries) == 3
    assert descriptors() <= before + 1


@pytest.mark.parametrize(("own", "kept"), [(None, "67108864"), ("1000", "1000")])
def test_it_keeps_freed_memory_unless_the_environment_says_otherwise(monkeypatch, own, kept):
    found = {}

    async def scenario():
        tried = asyncio.Event()

        async def note(*_command, env, **_options):
            found.update(env)
            tried.set()
            raise OSError

        monkeypatch.setattr(asyncio, "create_subprocess_exec", note)
        hooks = ServerHooks(file_numbers, Metrics(), lambda: None)
        worker = LocalWorker(Device("cpu", {}), OPTIONS, hooks)
        await worker.start()
        await tried.wait()
        await worker.stop()

    async def file_numbers(_body):
        raise AssertionError

    if own:
        monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", own)
    asyncio.run(scenario())

    assert found["MALLOC_TRIM_THRESHOLD_"] == kept
    assert found["MALLOC_MMAP_THRESHOLD_"] == "33554432"


def test_a_question_that_can_not_be_answered_is_answered_so():
    sent = []

    async def namer(_body):
        raise OverflowError

    async def send(body):
        sent.append(body)

    async def scenario():
        worker = LocalWorker(
            Device("cpu", {}), OPTIONS, ServerHooks(namer, Metrics(), lambda: None)
        )
        worker._send = send
        await worker._answer({"op": "name", "run": "r", "question": 3})

    asyncio.run(scenario())

    assert sent == [{"op": "named", "question": 3, "error": "its file could not be named: "}]
