"""What a driver is asked to do, and how it says what came of it.

A driver runs in the environment of the library that it drives, and has nothing of nodegraph.
"""

import asyncio
import hashlib
import inspect
import json
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """The server, and what to send it."""

    url: str
    """`http://127.0.0.1:1234`."""
    picture: dict[str, Any]
    """A prompt that takes about a second."""
    slow: dict[str, Any]
    """A prompt that takes far too long."""
    invalid: dict[str, Any]
    """A prompt that does not validate: its steps are too many."""
    image: str
    """The path of a picture to upload."""
    report: str
    """The path of the file that the driver writes."""

    @property
    def address(self) -> str:
        """`127.0.0.1:1234`."""
        return self.url.removeprefix("http://")

    @property
    def image_bytes(self) -> bytes:
        """The picture to upload."""
        return Path(self.image).read_bytes()

    def running(self) -> str:
        """Wait until the server computes something; its id."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with urllib.request.urlopen(f"{self.url}/queue") as answer:
                found = json.load(answer)["queue_running"]
            if found:
                return found[0][1]
            time.sleep(0.05)
        raise TimeoutError


def main(drive: Callable[[Job], Any]) -> None:
    """Do what standard input asks for, and write down what `drive` says of each step."""
    job = Job(**json.load(sys.stdin))
    steps = drive(job)
    report = asyncio.run(steps) if inspect.iscoroutine(steps) else steps
    Path(job.report).write_text(json.dumps(report))


def digest(data: bytes) -> dict[str, str]:
    """A file, told from any other."""
    return {"sha256": hashlib.sha256(data).hexdigest()}


def pixels(picture: Any) -> dict[str, str]:
    """A picture of PIL, told from any other."""
    return {"pixels": hashlib.sha256(picture.convert("RGB").tobytes()).hexdigest()}


def seen(entry: Any) -> dict[str, Any]:
    """What an entry of the history says."""
    outputs = entry["outputs"].values()
    names = [image["filename"] for output in outputs for image in output.get("images", ())]
    return {"status": entry["status"]["status_str"], "images": names}


def refusal(error: BaseException) -> str:
    """What a library says of a prompt that was refused."""
    return f"{type(error).__name__}: {error}"
