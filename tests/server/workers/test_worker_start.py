"""A worker that can not be started now is started later; its questions always get an answer."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from server.observability.metrics import Metrics
from server.workers import process_worker
from server.workers.devices import Device
from server.workers.local import LocalWorker
from server.workers.process_worker import ServerHooks
from server.workers.wire import Frame

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
        worker = LocalWorker(
            Device("cpu", {}), OPTIONS, ServerHooks(namer, Metrics(), ready.set, print)
        )
        await worker.start()
        async with asyncio.timeout(60):
            await ready.wait()
        await worker.stop()

    monkeypatch.setattr(process_worker, "FIRST_PAUSE", 0.01)
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
        hooks = ServerHooks(file_numbers, Metrics(), lambda: None, print)
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
            Device("cpu", {}), OPTIONS, ServerHooks(namer, Metrics(), lambda: None, print)
        )
        worker._send = send
        await worker._answer({"op": "name", "run": "r", "question": 3})

    asyncio.run(scenario())

    assert sent == [{"op": "named", "question": 3, "error": "its file could not be named: "}]


@pytest.mark.parametrize(("name", "kind", "told"), [("cuda:0", "cpu", True), ("cpu", "cpu", False)])
def test_a_card_that_is_gone_is_told(caplog, name, kind, told):
    async def namer(_body):
        return None

    async def scenario():
        hooks = ServerHooks(namer, Metrics(), lambda: None, print)
        worker = LocalWorker(Device(name, {}), OPTIONS, hooks)
        await worker._handle(Frame({"op": "device", "device": {"type": kind}}))
        return worker.device

    assert asyncio.run(scenario()) == {"type": kind}
    assert ("does not find its card" in caplog.text) == told


FREED = """
import os
from pathlib import Path
from server.worker_process.device import return_freed_memory

def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

pieces = [bytearray(10_000) for _ in range(10_000)]
del pieces[:-1]  # the last lies above all others
before = held()
return_freed_memory()
print(before - held())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process holds")
def test_freed_memory_is_returned():
    variables = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "1000000000"}
    done = subprocess.run(
        [sys.executable, "-c", FREED], env=variables, capture_output=True, text=True, check=True
    )

    assert int(done.stdout) > 90_000_000


def test_it_starts_without_what_few_need():
    program = "import server.worker_process.program, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert set(done.stdout.split()).isdisjoint({"aiohttp", "numpy", "rich", "torch"})
