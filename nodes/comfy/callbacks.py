"""Callbacks of a pack's class before its node runs: lazy inputs, validation, change detection."""

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from inspect import iscoroutine, signature
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
class InputCheck:
    """VALIDATE_INPUTS of a class, which may refuse inputs."""

    kind: Any
    name: str
    entries: Entries
    patience: float = PATIENCE

    def __call__(
        self, literals: Mapping[str, object], linked: Mapping[str, str], files: Files
    ) -> None:
        """Ask the class. A linked input is None, for it has no value yet.

        Raises:
            InputsRefusedError: the class refuses these inputs.
            TooSlowError: the check takes too long.
            Exception: whatever the class raises.
        """
        check = self.kind.VALIDATE_INPUTS
        values = {**dict.fromkeys(self.entries.hidden), **dict.fromkeys(linked), **literals}
        arguments = arguments_for(check, values, self.entries)
        if "input_types" in signature(check).parameters and "input_types" not in values:
            arguments["input_types"] = dict(linked)
        with runtime.with_files(files):
            answer = call_with_timeout(
                lambda: await_result(check(**arguments)),
                self.name,
                "VALIDATE_INPUTS",
                self.patience,
            )
        if answer is not True and answer is not None:
            raise InputsRefusedError(self.name, str(answer) if answer else "it does not say why")


@dataclass(frozen=True, slots=True)
class ChangeToken:
    """IS_CHANGED of a class: a text that changes with what its result depends on."""

    kind: Any
    name: str
    entries: Entries
    patience: float = PATIENCE

    def __call__(self, literals: Mapping[str, object], files: Files) -> str:
        """Return what the node's result depends on besides its inputs.

        Raises:
            TooSlowError: it takes too long.
        """
        names = {item.name: None for item in self.entries.inputs}
        values = {**names, **dict.fromkeys(self.entries.hidden), **literals}
        arguments = arguments_for(self.kind.IS_CHANGED, values, self.entries)
        try:
            with runtime.with_files(files):
                answer = call_with_timeout(
                    lambda: await_result(self.kind.IS_CHANGED(**arguments)),
                    self.name,
                    "IS_CHANGED",
                    self.patience,
                )
        except TooSlowError:
            raise
        except Exception as error:  # noqa: BLE001 - foreign code; as in ComfyUI, it has changed then
            _log.warning("IS_CHANGED of %s fails: %s: %s", self.name, type(error).__name__, error)
            answer = float("nan")
        equal = answer == answer
        return repr(answer) if equal is True else uuid.uuid4().hex


def arguments_for(
    function: Any, values: Mapping[str, object], entries: Entries
) -> dict[str, object]:
    """Return those of the values that a function takes, choices as what the class declares."""
    meant = {
        name: meanings.get(str(values[name]), values[name])
        for name, meanings in entries.choice_values.items()
        if name in values
    }
    return {name: {**values, **meant}[name] for name in accepted_names(function, values)}


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


def check_of(kind: Any, name: str, entries: Entries) -> InputCheck | None:
    """Return the check of a class's inputs if it has one."""
    return InputCheck(kind, name, entries) if getattr(kind, "VALIDATE_INPUTS", None) else None


def state_of(kind: Any, name: str, entries: Entries) -> ChangeToken | None:
    """Return what tells that a class's result has changed if it has that."""
    return ChangeToken(kind, name, entries) if getattr(kind, "IS_CHANGED", None) else None


def await_result(value: Any) -> Any:
    """Return a value, or the result of a coroutine."""
    return asyncio.run(value) if iscoroutine(value) else value


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
