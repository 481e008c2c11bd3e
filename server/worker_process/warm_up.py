"""Runs workflows before a worker takes runs, so that their models are in memory by then."""

import gc
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nodegraph.errors import InvalidWorkflowError, NodeGraphError
from nodegraph.execution.engine import Engine
from nodegraph.files.files import Files
from nodegraph.runtime.node_errors import is_device_lost
from nodegraph.runtime.pooled_model import PooledModel
from nodegraph.runtime.run_environment import CancelToken, ModelListener
from nodegraph.validation.defaults import with_defaults
from nodegraph.workflow.read import read_prompt
from server.worker_process.runs import LOST_DEVICE_EXIT, await_packs

_log = logging.getLogger(__name__)


class WarmUp:
    """Runs each workflow once, whole: so weights are where they compute, and code is compiled.

    What the workflows save goes to a folder that is deleted, and their results are forgotten. One
    that fails is an error in the log; the worker takes runs all the same.

    Args:
        engine: runs them.
        workflows: `name` and `prompt` of each, as `server.lifecycle.warm` makes them.
        keep: True if their models stay in memory from then on.
        used: is told of each model that they use.
    """

    def __init__(
        self,
        engine: Engine,
        workflows: Sequence[Mapping[str, Any]],
        *,
        keep: bool,
        used: ModelListener,
    ) -> None:
        self._engine = engine
        self._workflows = workflows
        self._keep = keep
        self._used = used

    def start(self, then: Callable[[], None]) -> None:
        """Run them in a thread, and call `then` afterwards in any case."""

        def work() -> None:
            try:
                self.run()
            finally:
                then()

        threading.Thread(target=work, name="warm-up", daemon=True).start()

    def run(self) -> None:
        """Run them one after the other."""
        with tempfile.TemporaryDirectory(prefix="nodegraph-warm-up-") as folder:
            files = self._engine.files.saving_in(Path(folder))
            for workflow in self._workflows:
                try:
                    self._run(workflow, files)
                except NodeGraphError as error:
                    _tell(workflow["name"], error)
        self._engine.cache.clear()
        gc.collect()  # what still refers to results, so that no run finds them

    def _run(self, workflow: Mapping[str, Any], files: Files) -> None:
        began, networks = time.monotonic(), 0

        def note(model: PooledModel, seconds: float | None) -> None:
            nonlocal networks
            networks += 1
            if self._keep:
                self._engine.models.pin(model)
            self._used(model, seconds)

        graph = read_prompt(workflow["prompt"])
        await_packs(self._engine.registry, graph, CancelToken())
        graph = with_defaults(graph, self._engine.registry.catalog)
        self._engine.run(graph, files=files, on_model_use=note)
        took = time.monotonic() - began
        _log.info("warm for %s: %d networks, %.1f s", workflow["name"], networks, took)


def _tell(name: str, error: NodeGraphError) -> None:
    """Log why a workflow failed; end a process whose device computes nothing more."""
    reason = error.problems[0] if isinstance(error, InvalidWorkflowError) else error
    _log.error("not warm for %s: %s", name, reason)
    if is_device_lost(error):
        _log.error("the device computes nothing more in this process, which ends")
        os._exit(LOST_DEVICE_EXIT)
