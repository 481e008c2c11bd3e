"""`nodegraph watch` on a real server: lines, a terminal, a server that goes and comes back."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress

from nodegraph.cli.terminal.queue_polling import PAUSE, follow_queue
from nodegraph.cli.terminal.queue_view import QueueView
from nodegraph.client import AsyncClient
from tests.server.serving import PATIENCE, ROOT, TOYS, block, install_toys, serving, toy, until

TOKEN = "what-nobody-else-knows"
FAILING = {
    "1": {"class_type": "ToyFail", "inputs": {"a": 3}},
    "2": {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}},
}


class Heard:
    """What a program wrote so far."""

    def __init__(self, descriptor):
        self.text = ""
        self._descriptor = descriptor
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        with suppress(OSError):  # a terminal whose program has ended
            while data := os.read(self._descriptor, 4096):
                self.text += data.decode(errors="replace")

    def wait(self, pattern):
        """Wait until it wrote that."""
        return until(lambda: re.search(pattern, self.text))


@contextmanager
def watching(url, *flags, terminal=False):
    """`nodegraph watch` while the block runs; its process and what it writes."""
    reading, writing = os.openpty() if terminal else os.pipe()
    command = [sys.executable, "-m", "nodegraph", "watch", "--server", url, *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "TERM": "xterm"}
    program = subprocess.Popen(command, stdout=writing, env=environment)
    os.close(writing)
    try:
        yield program, Heard(reading)
    finally:
        if program.poll() is None:
            program.kill()
        program.wait()
        os.close(reading)


class Late(AsyncClient):
    """A client that hears which runs are active when these are over already."""

    async def runs(self, *statuses, limit=50):
        found = await super().runs(*statuses, limit=limit)
        for run in found:
            if not run.ended:
                await self.wait(run)
        return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_each_change_is_a_line(server):
    with watching(server.url) as (program, heard):
        fine, bad = server.submit(toy(60, 0.05)), server.submit(FAILING)
        heard.wait(rf"{fine} runs\n")
        heard.wait(rf"{bad} waits, 0 before it\n")
        heard.wait(rf"{fine} succeeded after [3-9]\.\d s\n")
        heard.wait(rf"{bad} failed: node 1: .*no 3")
        program.send_signal(signal.SIGINT)

        assert program.wait(30) == 130


def test_a_run_that_ends_during_a_look_is_told_of_once(server, capsys):
    async def scenario():
        async with Late(server.url) as client:
            following = asyncio.create_task(follow_queue(client, QueueView(), 5))
            for run in runs:
                async with asyncio.timeout(PATIENCE):
                    while f"{run} succeeded" not in "".join(told):
                        await asyncio.sleep(0.05)
                        told.append(capsys.readouterr().out)
            await asyncio.sleep(2 * PAUSE)
            following.cancel()

    runs, told = [server.submit(toy(value, 0.05)) for value in (20, 40)], []
    asyncio.run(scenario())
    text = "".join([*told, capsys.readouterr().out])
    assert [len(re.findall(f"{run} succeeded", text)) for run in runs] == [1, 1]


def test_a_terminal_shows_how_far_a_run_is(server):
    with watching(server.url, terminal=True) as (_, heard):
        run = server.submit(toy(40, 0.1), client_id="somebody")
        heard.wait(rf"{run[:8]}.*somebody.*ToySteps \(1\).*[1-9]\d*/40")
        heard.wait("1 running, 0 waiting")
        server.post("/interrupt", {"prompt_id": run})
        heard.wait(rf"{run[:8]}.*cancelled")


def test_what_the_caches_hold_is_a_line_each(tmp_path):
    install_toys(tmp_path)
    flags = ("--device", "cpu", "--result-cache", "1MiB", "--weights-cache", "5MiB")
    with (
        serving(tmp_path, flags, TOYS) as server,
        watching(server.url) as (_, lines),
        watching(server.url, terminal=True) as (_, drawn),
    ):
        drawn.wait(r"result cache: 0 bytes of 1\.0 MiB, 0 hits, 0 misses, 0 evictions")
        drawn.wait(r"weights: 0 bytes of 5\.0 MiB, 0 hits, 0 loads, 0 evictions")
        server.finished(server.submit(block(700)))
        lines.wait(r"result cache: 70\d\.\d KiB of 1\.0 MiB, 0 hits, 1 misses, 0 evictions\r?\n")
        server.finished(server.submit(block(700)))
        drawn.wait(r"result cache: 70\d\.\d KiB of 1\.0 MiB, 1 hits, 1 misses, 0 evictions")
        server.finished(server.submit(block(600)))
        lines.wait(r"result cache: [67]0\d\.\d KiB of 1\.0 MiB, 1 hits, 2 misses, 1 evictions\r?\n")


def test_a_server_that_comes_back_is_awaited(tmp_path):
    install_toys(tmp_path)
    flags = ["--port", free_port(), "--token", TOKEN]
    with ExitStack() as stack:
        first = stack.enter_context(serving(tmp_path, flags, TOYS))
        with watching(first.url, "--token", "another-one-than-that") as (program, _):
            assert program.wait(30) == 2
        _, heard = stack.enter_context(watching(first.url, "--token", TOKEN))
        run = first.of(TOKEN).submit(toy())
        heard.wait(f"{run} succeeded")
        first.kill()
        heard.wait("no server answers at .* Trying again")

        second = stack.enter_context(serving(tmp_path, flags, TOYS)).of(TOKEN)
        heard.wait("the server is back")
        heard.wait(f"{second.submit(toy(value=5))} succeeded")
        assert heard.text.count("Trying again") == 1
