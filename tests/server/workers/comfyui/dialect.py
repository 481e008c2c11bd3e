"""Starts, kills and reads the small server of ComfyUI's dialect."""

import os
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

PROGRAM = Path(__file__).with_name("dialect_server.py")


class DialectServer:
    """The server of a folder; after `kill`, `start` starts it again at the same address."""

    def __init__(self, folder, token=""):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.token = token
        self.port = "0"
        self.url = ""
        self._process: subprocess.Popen[str] | None = None
        (folder / "log.txt").touch()
        self.set_models("red.safetensors")

    @property
    def process(self) -> subprocess.Popen[str]:
        """The one that was started last."""
        assert self._process, "it was never started"
        return self._process

    def set_models(self, *names):
        (self.folder / "models.txt").write_text("\n".join(names))

    @contextmanager
    def unwell(self, path, status):
        """Have it answer requests whose path begins so with that status."""
        file = self.folder / "unwell.txt"
        file.write_text(f"{path} {status}")
        try:
            yield
        finally:
            file.unlink()

    def start(self):
        with (self.folder / "errors.txt").open("a") as errors:
            process = self._process = subprocess.Popen(
                [sys.executable, str(PROGRAM), str(self.folder), self.port, self.token],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        assert process.stdout
        self.url = process.stdout.readline().strip()
        assert self.url, (self.folder / "errors.txt").read_text()
        self.port = self.url.rpartition(":")[2]

    def kill(self):
        """kill -9."""
        with self.process as process:  # closes its output and waits
            process.kill()

    def lines(self, word):
        """The lines of its log that begin with a word, without that."""
        rows = (line.split(" ", 2) for line in (self.folder / "log.txt").read_text().splitlines())
        return [row[1:] for row in rows if row[0] == word]

    def begun(self):
        """How often each prompt was begun."""
        return Counter(name for name, *_ in self.lines("begin"))


@contextmanager
def dialect(folder, token=""):
    """A running server of the dialect; killed at the end."""
    server = DialectServer(folder, token)
    server.start()
    try:
        yield server
    finally:
        server.kill()
