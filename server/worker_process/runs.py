"""The runs of a worker: started and stopped as the server asks, their events and failures sent."""

import logging
import os
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from nodegraph.errors import InvalidWorkflowError, NodeGraphError, RunCancelledError, short_repr
from nodegraph.execution.engine import Engine
from nodegraph.execution.events import (
    Event,
    NodeCached,
    NodeFinished,
    NodeStarted,
    Preview,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunPlanned,
    RunStarted,
    as_dict,
)
from nodegraph.graph.graph import Graph, Link
from nodegraph.graph.json_values import is_object
from nodegraph.packs.registry import Registry
from nodegraph.runtime.node_errors import is_device_lost
from nodegraph.runtime.pooled_model import PooledModel
from nodegraph.runtime.run_environment import CancelToken
from nodegraph.validation.defaults import with_defaults
from nodegraph.workflow.read import read_prompt
from server.observability import logs
from server.observability.observer import ModelUse
from server.worker_process.device import memory_in_use, return_freed_memory
from server.worker_process.look_ahead import LookAhead
from server.worker_process.reports import CacheReports
from server.workers.wire import Channel

_MOST_LINES = 50
_MOST_THREADS = 10_000
"""More than the server has a worker compute at once; threads are only started when needed."""
_SOON_FOLLOWED = (RunStarted, RunPlanned, NodeCached, NodeFinished)
"""Events that something else follows at once, as a rule. The start of a node is none of them: if
the node ends the process, the server has to know which it was."""
_LAST = (RunFinished, RunFailed, RunCancelled)
"""Events that end a run; `done` says the same."""
_LONGEST_WAIT = 600.0
"""The most seconds that a run waits for packs that are still being described."""
_PAUSE = 1.0
_SOON = 0.02
"""Seconds between two looks whether abandoned runs are over."""
LOST_DEVICE_EXIT = 5
"""The exit code of a worker whose device computes nothing more."""
_log = logging.getLogger(__name__)


class Runs:
    """Starts and stops the runs of a worker; ends its process after a run that lost the device.

    Args:
        engine: runs them.
        channel: gets their events.
        ended: called with the id of each run that is over.
        clients: gets the client of each run while it goes on.
        reports: tell the server what they leave in the cache.
    """

    def __init__(
        self,
        engine: Engine,
        channel: Channel,
        ended: Callable[[str], None],
        clients: dict[str, str],
        reports: CacheReports,
    ) -> None:
        self._engine = engine
        self._channel = channel
        self._ended = ended
        self._clients = clients
        self._reports = reports
        self._look_ahead = LookAhead(engine)
        self._tokens: dict[str, CancelToken] = {}
        self._watched: set[str] = set()
        self._device_lost = False
        self._threads = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="run")

    def start(self, order: Mapping[str, Any]) -> None:
        """Start a run."""
        token = self._tokens[order["run"]] = CancelToken()
        if order["client"]:
            self._clients[order["run"]] = order["client"]
        self.set_watched(order["run"], order["looked_at"])
        self._threads.submit(copy_context().run, self._run, order, token)

    def cancel(self, run: str) -> None:
        """Stop a run after its current step; do nothing if it is over."""
        token = self._tokens.get(run)
        if token:
            token.cancel()

    def abandon(self, patience: float) -> bool:
        """Cancel all runs and wait until they are over; return False if some take longer.

        Args:
            patience: the seconds that they may take.
        """
        tokens = [*self._tokens.values()]
        for token in tokens:
            token.cancel()
        end = time.monotonic() + patience
        while not set(tokens).isdisjoint([*self._tokens.values()]):
            if time.monotonic() > end:
                return False
            time.sleep(_SOON)
        return True

    def set_watched(self, run: str, watched: bool) -> None:
        """Turn previews of a run on or off."""
        if watched and run in self._tokens:
            self._watched.add(run)
        else:
            self._watched.discard(run)

    def expect(self, prompt: Mapping[str, Any]) -> None:
        """Read the files of a run that will probably come next."""
        self._look_ahead.expect(prompt)

    def reload(self) -> None:
        """Reload packs whose files have changed; active runs keep the old ones."""
        self._engine.registry.refresh()

    def free(self) -> None:
        """Clear the result cache, and free the weights that no run uses."""
        self._engine.free()
        return_freed_memory()
        self._reports.send()

    def _run(self, order: Mapping[str, Any], token: CancelToken) -> None:
        run = order["run"]
        logs.note(run=run)
        try:
            outcome = self._outcome(order, token)
        except Exception as error:  # noqa: BLE001 - reported as the run's error
            _log.exception("a run failed with an unexpected error")
            self._note_failure(error)
            failure = NodeGraphError(f"{type(error).__name__}: {error}")
            outcome = {"state": "failed", "error": failure.as_dict()}
        del self._tokens[run]
        self._clients.pop(run, None)
        self._watched.discard(run)
        self._ended(run)
        if self._tokens:  # another run tells of it
            self._reports.send_when_due()
        else:
            self._reports.send()
        if self._device_lost:
            _log.error("the device computes nothing more in this process, which ends")
            self._channel.send({"op": "retire"})
        self._channel.send({"op": "done", "run": run, **outcome})
        if self._device_lost:
            os._exit(LOST_DEVICE_EXIT)
        memory = memory_in_use()
        if memory is not None:
            self._channel.send({"op": "memory", "used": memory})

    def _note_failure(self, error: BaseException) -> None:
        """Remember if an error ended all use of the device."""
        self._device_lost = self._device_lost or is_device_lost(error)

    def report_model(self, model: PooledModel, seconds: float | None, run: str = "") -> None:
        """Tell the server that a run uses a model, and the seconds of its load, if it had one."""
        nbytes = 0 if seconds is None else model.nbytes()
        use = ModelUse(run, model.title, nbytes, seconds, time.time_ns() // 1_000_000)
        self._channel.send({"op": "model", "use": asdict(use)})

    def _outcome(self, order: Mapping[str, Any], token: CancelToken) -> dict[str, Any]:
        run, editor = order["run"], order["extra"].get("extra_pnginfo")
        graph = read_prompt(order["prompt"])
        await_packs(self._engine.registry, graph, token)
        graph = with_defaults(graph, self._engine.registry.catalog)
        self._look_ahead.note(graph)
        try:
            result = self._engine.run(
                graph,
                targets=order["targets"],
                emit=self._emit,
                cancel=token,
                run_id=run,
                files=self._engine.files.for_owner(order["owner"]),
                extra_pnginfo=editor if is_object(editor) else {},
                previews=order["previews"] != "none",
                preview_method=order["previews"],
                looked_at=lambda: run in self._watched,
                on_model_use=partial(self.report_model, run=run),
                on_files_left=lambda: self._channel.hold({"op": "writing", "run": run}),
            )
        except RunCancelledError:
            return {"state": "cancelled"}
        except InvalidWorkflowError as error:
            return {"state": "failed", "error": error.problems[0].as_dict()}
        except NodeGraphError as error:
            self._note_failure(error)
            return {"state": "failed", "error": describe_failure(error, graph)}
        return {"state": "succeeded", "executed": result.executed, "cached": result.cached}

    def _emit(self, event: Event) -> None:
        image = b""
        if isinstance(event, _LAST):
            return
        if isinstance(event, NodeStarted):
            logs.note(node=event.node_id)
        if isinstance(event, Preview):
            image, event = event.image, replace(event, image=b"")
        if isinstance(event, NodeFinished | NodeCached):
            self._reports.send_when_due()
        body = {"op": "event", "run": event.run_id, "event": as_dict(event)}
        if isinstance(event, _SOON_FOLLOWED):
            self._channel.hold(body)
        else:
            self._channel.send(body, image)


def await_packs(registry: Registry, graph: Graph, token: CancelToken) -> None:
    """Wait for the packs of a graph while the server describes them, within limits."""
    end = time.monotonic() + _LONGEST_WAIT
    types = {node.type_name for node in graph.nodes.values()}
    while registry.pending and not types <= registry.catalog.keys():
        if token.is_cancelled or time.monotonic() > end:
            return
        time.sleep(_PAUSE)
        registry.refresh()


def describe_failure(error: NodeGraphError, graph: Graph) -> dict[str, Any]:
    """Return an error as JSON, with `traceback` and `current_inputs` among its details."""
    body = error.as_dict()
    cause = error.__cause__
    lines = traceback.format_tb(cause.__traceback__)[-_MOST_LINES:] if cause else []
    more = {"traceback": lines, "current_inputs": _inputs(error, graph)}
    return {**body, "details": {**error.details, **more}}


def _inputs(error: NodeGraphError, graph: Graph) -> dict[str, list[str]]:
    node = graph.nodes.get(error.node_id or "")
    return {name: [_describe_input(value)] for name, value in node.inputs.items()} if node else {}


def _describe_input(value: object) -> str:
    if isinstance(value, Link):
        return f"output {value.output} of node {short_repr(value.source)}"
    return value if isinstance(value, str) else short_repr(value)
