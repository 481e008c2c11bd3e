"""Callbacks of a pack's class before its node runs: lazy inputs, validation, change detection."""

import asyncio
import inspect
import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from nodegraph.definition.node import Needs
from nodegraph.files.files import Files
from nodegraph.graph.spec import NodeSpec
from nodes.comfy.input_types import Entries, accepted_names
from nodes.comfy.values import runtime
from nodes.comfy.values.convert import to_pack
from nodes.comfy.values.errors import InputsRefusedError, TooSlowError

PATIENCE = 20.0
"""The seconds that a check may take."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    """The checks of a node before it runs: VALIDATE_INPUTS, which may refuse, and IS_CHANGED."""

    kind: Any
    name: str
    entries: Entries
    patience: float = PATIENCE

    def __call__(self, literals: Mapping[str, object], files: Files) -> str:
        """Return what the node's result depends on besides its inputs.

        Raises:
            InputsRefusedError: the class refuses these inputs.
            TooSlowError: a check takes too long.
        """
        with runtime.with_files(files):
            self._validate(literals)
            return self._change_token(literals)

    def _validate(self, literals: Mapping[str, object]) -> None:
        check = getattr(self.kind, "VALIDATE_INPUTS", None)
        if check is None:
            return
        answer = self._call("VALIDATE_INPUTS", check, literals)
        if answer is not True and answer is not None:
            raise InputsRefusedError(self.name, str(answer) if answer else "it does not say why")

    def _change_token(self, literals: Mapping[str, object]) -> str:
        is_changed = getattr(self.kind, "IS_CHANGED", None)
        if is_changed is None:
            return ""
        try:
            answer = self._call("IS_CHANGED", is_changed, literals)
        except TooSlowError:
            raise
        except Exception as error:  # noqa: BLE001 - foreign code; as in ComfyUI, it has changed then
            _log.warning("IS_CHANGED of %s fails: %s: %s", self.name, type(error).__name__, error)
            answer = float("nan")
        equal = answer == answer
        return repr(answer) if equal is True else uuid.uuid4().hex

    def _call(self, what: str, function: Any, literals: Mapping[str, object]) -> object:
        names = {item.name: None for item in self.entries.inputs}
        values = {**names, **dict.fromkeys(self.entries.hidden), **literals}
        values |= {
            name: meanings.get(str(values[name]), values[name])
            for name, meanings in self.entries.choice_values.items()
        }
        arguments = {name: values[name] for name in accepted_names(function, values)}
        if "input_types" in inspect.signature(function).parameters and "input_types" not in values:
            arguments["input_types"] = {}
        return call_with_timeout(
            lambda: await_result(function(**arguments)), self.name, what, self.patience
        )


def needs_of(kind: Any, spec: NodeSpec) -> Needs | None:
    """Make the function that returns the lazy inputs a node needs, from `check_lazy_status`."""
    if not hasattr(kind, "check_lazy_status"):
        return None
    lazy = [item.name for item in spec.inputs if item.lazy]

    def needs(values: Mapping[str, object]) -> list[str]:
        inputs = {name: to_pack(value) for name, value in values.items()}
        absent = {name: None for name in lazy if name not in inputs}
        names = await_result(kind().check_lazy_status(**inputs, **absent))
        return [names] if isinstance(names, str) else list(names or ())

    return needs


def state_of(state: State) -> State | None:
    """Return the checks if the class has any."""
    checks = ("VALIDATE_INPUTS", "IS_CHANGED")
    return state if any(getattr(state.kind, name, None) for name in checks) else None


def await_result(value: Any) -> Any:
    """Return a value, or the result of a coroutine."""
    return asyncio.run(value) if inspect.iscoroutine(value) else value


def call_with_timeout(
    function: Callable[[], object], name: str, what: str, patience: float
) -> object:
    """Return a function's result; after `patience` seconds its thread is abandoned.

    Raises:
        TooSlowError: it takes too long.
        Exception: whatever the function raises.
    """
    answers: list[object] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            answers.append(function())
        except Exception as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    thread = threading.Thread(target=copy_context().run, args=(run,), daemon=True)
    thread.start()
    thread.join(patience)
    if failures:
        raise failures[0]
    if not answers:
        raise TooSlowError(name, what, patience)
    return answers[0]
