"""The process that decodes pictures may die or hang: the next question is answered all the same."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest
from PIL import Image

from server.errors import UnreadablePictureError
from server.pictures import process
from server.pictures.process import Pictures

GREEDY = """
import socket
from server.pictures import program
from server.workers.wire import Channel

ours, theirs = socket.socketpair()
theirs.close()
program.serve(Channel(ours))
bytearray(program.MOST_MEMORY)
"""


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    return path


def asked(pictures, path):
    return pictures.preview(path, "webp", 90, "rgba")


def send(pictures, number):
    assert pictures.pid is not None
    os.kill(pictures.pid, number)


def test_is_started_again_after_its_death(picture):
    async def story():
        pictures = Pictures()
        first = await asked(pictures, picture)
        send(pictures, signal.SIGKILL)
        assert pictures._process
        await pictures._process.wait()
        assert await asked(pictures, picture) == first
        await pictures.close()

    asyncio.run(story())


def test_a_death_while_it_decodes_is_told(picture):
    async def story():
        pictures = Pictures()
        await asked(pictures, picture)
        send(pictures, signal.SIGSTOP)
        question = asyncio.create_task(asked(pictures, picture))
        await asyncio.sleep(0.05)
        send(pictures, signal.SIGKILL)
        with pytest.raises(UnreadablePictureError, match="SIGKILL"):
            await question
        assert await asked(pictures, picture)
        await pictures.close()

    asyncio.run(story())


def test_what_takes_too_long_is_ended(picture, monkeypatch):
    async def story():
        pictures = Pictures()
        await asked(pictures, picture)
        send(pictures, signal.SIGSTOP)
        monkeypatch.setattr(process, "_PATIENCE", 0.2)
        with pytest.raises(UnreadablePictureError, match="too long"):
            await asked(pictures, picture)
        monkeypatch.undo()
        assert await asked(pictures, picture)
        await pictures.close()

    asyncio.run(story())


def test_an_answer_that_nobody_waits_for_is_not_taken_for_the_next(picture, tmp_path):
    other = tmp_path / "b.png"
    Image.new("RGB", (9, 9), "red").save(other)

    async def story():
        pictures = Pictures()
        wanted = await asked(pictures, picture)
        left = asyncio.create_task(asked(pictures, other))
        await asyncio.sleep(0)
        left.cancel()
        assert await asked(pictures, picture) == wanted
        await pictures.close()

    asyncio.run(story())


def test_memory_is_limited():
    """A process that asks for more than it may have fails, and not the machine."""
    done = subprocess.run(
        [sys.executable, "-c", GREEDY], check=False, capture_output=True, text=True, timeout=60
    )
    assert "MemoryError" in done.stderr
