"""Trials of a pack's node types in a process, begun again after a node that ended or blocked it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, Literal

from nodegraph.packs.catalog import child_environment

Outcome = Literal["runs", "fails", "not tried"]
_PATIENCE_AT_START = 300.0
"""The most seconds until the first node type is begun: the pack is imported meanwhile."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The outcome of one node type."""

    type_name: str
    outcome: Outcome
    reason: str = ""
    """The reason why it fails, or was not tried."""
    seconds: float = 0.0
    shows: Mapping[str, object] = field(default_factory=dict[str, object])
    """The UI output of its graph by node, as a server tells it."""


def trials(pack: str, names: Sequence[str], patience: float) -> Iterator[Trial]:
    """Run one graph for each node type, and yield what comes of it.

    Args:
        pack: the name of the pack.
        names: of its node types.
        patience: the most seconds that one node type may take.
    """
    left = list(names)
    with TemporaryDirectory(prefix="nodegraph-try-") as folder:
        while left:
            with _Program(pack, left, Path(folder)) as program:
                for trial in program.results(patience):
                    left.remove(trial.type_name)
                    yield trial


class _Program:
    """The process, which tries node types one after another."""

    def __init__(self, pack: str, names: Sequence[str], folder: Path) -> None:
        self._job = json.dumps({"pack": pack, "types": list(names), "folder": str(folder)})
        self._next = names[0]
        self._lines: SimpleQueue[str] = SimpleQueue()

    def __enter__(self) -> "_Program":
        """Start the process."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nodegraph.cli.packs.trial_program"],
            env=child_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._process.stdin is not None, "the process was started with pipes"
        self._process.stdin.write(f"{self._job}\n")
        self._process.stdin.close()
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None, "the process was started with pipes"
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None, "the process was started with pipes"
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def results(self, patience: float) -> Iterator[Trial]:
        """Yield what the process tells, and at last what ended it, if something did."""
        wait = _PATIENCE_AT_START
        while True:
            try:
                line = self._lines.get(timeout=wait)
            except Empty:
                yield Trial(self._next, "fails", f"it takes more than {wait:.0f} s", wait)
                return
            if not line:
                break
            told: dict[str, Any] = json.loads(line)
            if "begins" in told:
                self._next, wait = told["begins"], patience
                continue
            self._next = ""
            yield Trial(
                told["type"],
                told["outcome"],
                told.get("reason", ""),
                told["seconds"],
                told.get("shows", {}),
            )
        code = self._process.wait()
        if self._next:
            yield Trial(self._next, "fails", f"it ended the process, with code {code}")
