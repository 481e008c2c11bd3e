"""The actor of a worker without Ray around it: it is a plain object, and its process is real."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from typing import Any

import pytest

from server.workers.ray import actor as actors
from server.workers.ray.actor import WorkerHost
from server.workers.ray.messages import CHUNK, Attachment
from server.workers.wire import Frame, FrameReader, pack
from tests.server.serving import ROOT, TOYS, install_toys, toy


@pytest.fixture
def program(tmp_path, monkeypatch):
    """The options of a worker's program that knows the toys."""
    install_toys(tmp_path)
    path = os.pathsep.join([str(tmp_path / "packs"), str(ROOT)])
    for name, value in {**TOYS, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    folders = ("models_dir", "input_dir", "output_dir", "temp_dir", "cache_dir")
    flags = {name: str(tmp_path / name) for name in folders}
    return {"flags": {**flags, "result_cache": "auto"}, "log_levels": {}}


class Server:
    """A server that is connected to an actor: what it hears, frame by frame."""

    def __init__(self, host, program, session, owner="here"):
        self.host, self.session = host, session
        self.attachment = Attachment(session, owner, program, 1)
        self.heard = []
        self.end = None
        self.longest = 0

    async def attach(self):
        return await self.host.attach(self.attachment)

    async def send(self, **body):
        await self.host.write(self.session, pack(Frame(body)))

    async def hear(self, op) -> Any:
        """Listen until a frame of that kind comes, or the end; the frame."""
        async with asyncio.timeout(60):
            while True:
                for number, frame in enumerate(self.heard):
                    if frame.body["op"] == op:
                        del self.heard[: number + 1]
                        return frame.body
                if self.end is not None:
                    return None
                await self.take()

    async def take(self):
        news = await self.host.take(self.session)
        self.longest = max(self.longest, len(news.data))
        if news.over or news.code is not None:
            self.end = "over" if news.over else news.code
        self.pending = getattr(self, "pending", b"") + news.data
        splitter = actors.FrameSplitter()
        whole = splitter.take(self.pending)
        self.pending = self.pending[len(whole) :]
        reader = asyncio.StreamReader()
        reader.feed_data(whole)
        reader.feed_eof()
        frames = FrameReader(reader)
        while (frame := await frames.next()) is not None:
            self.heard.append(frame)

    async def run(self, name, prompt):
        order = {"prompt": prompt, "targets": [*prompt], "extra": {}, "owner": "", "client": ""}
        await self.send(op="run", run=name, **order, previews="none", looked_at=False)


@asynccontextmanager
async def hosting():
    host = WorkerHost("recipe", 600)
    try:
        yield host
    finally:
        await host._end_child()


def number(value):
    return {
        "1": {"class_type": "ToyNumber", "inputs": {"value": value}},
        "2": {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}},
    }


def test_the_next_server_finds_the_cache_and_hears_nothing_of_the_run_before(program):
    async def scenario():
        async with hosting() as host:
            first = Server(host, program, "1")
            assert await first.attach() == ""
            pid = (await first.hear("ready"))["pid"]
            await first.run("a", number(5))
            assert (await first.hear("done"))["executed"] == 2
            await first.run("b", toy(steps=100_000, seconds=0.001))
            await first.hear("event")

            second = Server(host, program, "2")
            assert await second.attach() == ""
            assert (await second.hear("ready"))["pid"] == pid
            await first.take()
            assert first.end == "over"
            await second.run("b", number(5))
            done = await second.hear("done")
            assert (done["run"], done["executed"], done["cached"]) == ("b", 0, 2)

    asyncio.run(scenario())


def test_a_crash_is_told_with_its_signal_and_the_next_connection_starts_anew(program):
    async def scenario():
        async with hosting() as host:
            first = Server(host, program, "1")
            await first.attach()
            pid = (await first.hear("ready"))["pid"]
            await first.run("a", {"1": {"class_type": "ToyCrash", "inputs": {"a": 0}}})
            await first.hear("nothing")
            assert first.end == -signal.SIGSEGV
            second = Server(host, program, "2")
            await second.attach()
            assert (await second.hear("ready"))["pid"] != pid

    asyncio.run(scenario())


def test_another_server_waits_until_the_one_before_is_silent(program, monkeypatch):
    monkeypatch.setattr(actors, "LEASE", 0.3)
    monkeypatch.setattr(actors, "_PAUSE", 0.05)

    async def scenario():
        async with hosting() as host:
            first = Server(host, program, "1", "here")
            await first.attach()
            pid = (await first.hear("ready"))["pid"]
            second = Server(host, program, "2", "there")
            assert await second.attach() == "here"
            while await second.attach():  # noqa: ASYNC110 - as a gateway does
                await asyncio.sleep(0.05)
            assert (await second.hear("ready"))["pid"] == pid
            await host.detach("2")
            third = Server(host, program, "3", "elsewhere")
            assert await third.attach() == ""

    asyncio.run(scenario())


def test_what_is_said_comes_in_parts_that_ray_sends_along_with_a_call(program):
    async def scenario():
        async with hosting() as host:
            first = Server(host, program, "1")
            await first.attach()
            await first.hear("ready")
            text = "x" * (3 * CHUNK)
            await first.run("a", {"1": {"class_type": "ToyWrite", "inputs": {"text": text}}})
            assert (await first.hear("done"))["state"] == "succeeded"
            assert first.longest == CHUNK

    asyncio.run(scenario())
