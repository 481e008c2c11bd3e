"""The process of a pack's own environment, as the nodes of the pack see it."""

import os
import select
import signal
import subprocess
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any

from nodegraph.definition.context import Context
from nodegraph.graph.graph import Link, Node
from nodegraph.graph.json_values import is_plain
from nodegraph.packs.catalog import PackSource, overlay_command, overlay_environment
from nodes.comfy.apart.errors import PackProcessError
from nodes.comfy.apart.messages import read_message, write_message
from nodes.comfy.values import runtime

_PAUSE = 0.2
"""Seconds between two looks if the run was cancelled."""


class PackProcess:
    """Answers questions by a pack's process, one at a time; starts it when it is needed.

    Args:
        source: the pack, with its Python.
    """

    def __init__(self, source: PackSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_idle = True

    @property
    def pid(self) -> int | None:
        """The id of the process; None if there is none."""
        return self._process.pid if self._process else None

    def ask(self, question: Mapping[str, object], context: Context | None = None) -> Any:
        """Return the answer to a question.

        Args:
            question: its `op` and arguments.
            context: of the node that asks; hears of progress, and may be cancelled, which ends the
                process.

        Raises:
            CannotCrossError: a value can not go to the process.
            PackProcessError: the pack failed, or the process died.
            RunCancelledError: the run was cancelled.
        """
        with self._turn(context):
            process = self._running()
            try:
                write_message(_pipe(process.stdin), question)
                return self._answer(process, context)
            except OSError:
                raise self._death(process) from None
            except BaseException:
                if process.poll() is None and not self._is_idle:
                    self._end(process)
                raise

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._process is not None:
                self._end(self._process)

    @contextmanager
    def _turn(self, context: Context | None) -> Generator[None]:
        while not self._lock.acquire(timeout=_PAUSE):
            if context:
                context.check_cancelled()
        self._is_idle = True
        try:
            yield
        finally:
            self._lock.release()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and _is_over(self._process):
            self._end(self._process)
        if self._process is None:
            start = "from nodes.comfy.apart.program import main; main(sys.argv[1])"
            self._process = subprocess.Popen(
                overlay_command(self._source, start),
                env=overlay_environment(self._source),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        return self._process

    def _answer(self, process: "subprocess.Popen[bytes]", context: Context | None) -> Any:
        """Wait for the answer, and pass on what is told before it."""
        self._is_idle = False
        while True:
            told = self._next(process, context)
            op = told["op"]
            if op in ("answer", "failure"):
                self._is_idle = True
            if op == "answer":
                return told["value"]
            if op == "failure":
                raise PackProcessError(told["message"], details={"traceback": told["trace"]})
            reply = _pass_on(told, context)
            if reply is not None:
                write_message(_pipe(process.stdin), reply)

    def _next(
        self, process: "subprocess.Popen[bytes]", context: Context | None
    ) -> Mapping[str, Any]:
        answers = _pipe(process.stdout)
        ready = False
        while not ready:
            if context:
                context.check_cancelled()
            ready = bool(select.select([answers], [], [], _PAUSE)[0])
        told = read_message(answers)
        if told is None:
            raise self._death(process)
        return told

    def _death(self, process: "subprocess.Popen[bytes]") -> PackProcessError:
        """Return the error of a process that has died, after it is cleared away."""
        self._end(process)
        code = process.returncode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        message = f"the process of the pack {self._source.name!r} ended with {how}."
        hint = "It is started again for the next node; the log has what it printed."
        return PackProcessError(message, hint=hint)

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        if process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PAUSE)  # The pipe closes a moment before the exit code is there.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with whatever it has started itself
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                _pipe(pipe).close()
        self._process = None


def _is_over(process: "subprocess.Popen[bytes]") -> bool:
    """Return True if a process has died since its last answer; its pipe ends a moment before."""
    return process.poll() is not None or bool(select.select([_pipe(process.stdout)], [], [], 0)[0])


def _pass_on(told: Mapping[str, Any], context: Context | None) -> Mapping[str, object] | None:
    """Pass on what the process told before its answer, and return what it waits for, if it does.

    Messages reach the client of the run; outside of a run whoever keeps them in this thread.
    """
    if told["op"] == "message":
        run = context.run_id if context else ""
        runtime.current().server.tell(told["name"], told["data"], run)
    if context is None:
        return None
    match told["op"]:
        case "progress":
            context.progress(told["value"], told["total"])
        case "preview":
            context.preview(told["image"], told["mime"])
        case "notice" | "progress_text" as op:
            tell = context.notice if op == "notice" else context.progress_text
            tell(told["message"])
        case "node":
            return {"op": "reply", "node": _as_sent(context.node(told["node_id"]))}
        case "shown_as":
            return {"op": "reply", "node_id": context.shown_as(told["node_id"])}
        case _:
            pass
    return None


def _as_sent(node: Node | None) -> dict[str, object] | None:
    """Return a node of the graph as it crosses; inputs that can not are left out."""
    if node is None:
        return None
    inputs = {name: value for name, value in node.inputs.items() if _crosses(value)}
    return {"type_name": node.type_name, "inputs": inputs}


def _crosses(value: object) -> bool:
    return isinstance(value, Link) or is_plain(value)


def _pipe(end: IO[bytes] | None) -> IO[bytes]:
    assert end is not None, "the process was started with pipes"
    return end
