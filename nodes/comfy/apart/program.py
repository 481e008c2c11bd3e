"""The main loop in a pack's own environment: imports the pack, and calls its nodes when asked."""

import os
import queue
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pkgutil import resolve_name
from typing import IO, Any, NoReturn

from nodegraph.definition.node import NodeType
from nodegraph.errors import NodeGraphError
from nodegraph.files.files import Files
from nodegraph.graph.graph import Node
from nodegraph.graph.results import Artifact, Blocked, Expansion, Ui
from nodegraph.packs.catalog import PackSource, source_from_text
from nodegraph.packs.loading import import_types
from nodegraph.runtime.choices import PreviewMethod
from nodegraph.runtime.model_pool import ModelPool
from nodes.comfy.apart.errors import CannotCrossError
from nodes.comfy.apart.messages import read_message, write_message
from nodes.comfy.call import CONTEXT
from nodes.comfy.values import runtime
from nodes.comfy.values.convert import ExecutionBlocker, to_pack
from nodes.comfy.values.errors import NotOfferedError


def main(source: str) -> NoReturn:
    """Answer the questions on stdin until it ends, then end at once.

    Args:
        source: the pack, as `PackSource.as_text` writes it.
    """
    questions = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=partial(_listen, questions, waiting), daemon=True).start()
    answering = _Answering(source_from_text(source), answers)
    while True:
        answering.answer(waiting.get())


def _listen(questions: IO[bytes], waiting: "queue.SimpleQueue[dict[str, Any]]") -> None:
    """Pass on questions; end the process when the other end is gone, whatever a node does."""
    while (question := read_message(questions)) is not None:
        waiting.put(question)
    os._exit(0)


class _Answering:
    """Answers questions to one pack, which it imports for the first."""

    def __init__(self, source: PackSource, answers: IO[bytes]) -> None:
        self._source = source
        self._answers = answers
        self._types: dict[str, NodeType[..., Any]] = {}

    def answer(self, question: Mapping[str, Any]) -> None:
        """Write the answer, or the failure."""
        try:
            value = self._value(question)
            write_message(self._answers, {"op": "answer", "value": value})
        except CannotCrossError as error:
            self._fail(str(error))
        except NodeGraphError as error:
            self._fail(error.message)
        except Exception as error:  # noqa: BLE001 - foreign code; it is the node's error
            self._fail(f"{type(error).__name__}: {error}")

    def _fail(self, message: str) -> None:
        trace = traceback.format_exc()
        write_message(self._answers, {"op": "failure", "message": message, "trace": trace})

    def _value(self, question: Mapping[str, Any]) -> object:
        if not self._types:
            resolve_name(self._source.host)()
            found = import_types(self._source.module, f"the pack {self._source.name!r}")
            self._types = {each.spec.name: each for each in found}
        kind = self._types[question["type"]]
        files = runtime.current().files.for_owner(question["owner"])
        match question["op"]:
            case "state":
                return kind.state(question["literals"], files) if kind.state else ""
            case "needs":
                return kind.needs(question["inputs"]) if kind.needs else []
            case "check":
                if kind.check:
                    kind.check(question["literals"], question["linked"], files)
                return None
            case _:
                context = _Context(files=files, send=self._send, **question["context"])
                returned = kind.function(**question["inputs"], **{CONTEXT: context})
                return as_message(returned)

    def _send(self, message: Mapping[str, object]) -> None:
        write_message(self._answers, message)


def as_message(returned: object) -> dict[str, object]:
    """Return a node's result in ComfyUI's plain form, which can cross."""
    if isinstance(returned, Expansion):
        kind = "expansion of nodes"
        raise CannotCrossError(kind)
    if isinstance(returned, Ui):
        shown = {name: [_shown_file(item) for item in v] for name, v in returned.artifacts.items()}
        outputs = [_plain(value) for value in returned.outputs]
        return {"ui": {**shown, **returned.values}, "outputs": outputs}
    values = returned if isinstance(returned, tuple) else (returned,)
    return {"ui": None, "outputs": [_plain(value) for value in values]}


def _shown_file(item: Artifact) -> dict[str, str]:
    return item.as_dict()


def _plain(value: object) -> object:
    if isinstance(value, Blocked):
        return ExecutionBlocker(value.message)
    return to_pack(value)


@dataclass(frozen=True)
class _Context:
    """The context of a node whose engine is in the other process."""

    node_id: str
    run_id: str
    prompt: Mapping[str, object]
    extra_pnginfo: Mapping[str, object]
    files: Files
    send: Callable[[Mapping[str, object]], None]
    type_versions: Mapping[str, str] = field(default_factory=dict[str, str])
    wants_preview: bool = False
    preview_method: PreviewMethod = "none"

    @property
    def models(self) -> ModelPool:
        """None of the engine's models are in this process.

        Raises:
            NotOfferedError: always.
        """
        what = "a model in memory"
        raise NotOfferedError(what)

    def node(self, node_id: str) -> Node | None:
        """Return None: the graph is in the other process."""
        del node_id

    def shown_as(self, node_id: str) -> str:
        """Return the node itself."""
        return node_id

    def progress(self, value: int, total: int) -> None:
        """Report progress."""
        self.send({"op": "progress", "value": int(value), "total": int(total)})

    def preview(self, image: bytes, mime: str) -> None:
        """Do nothing: previews do not cross."""

    def notice(self, message: str) -> None:
        """Tell the user something."""
        self.send({"op": "notice", "message": message})

    def check_cancelled(self) -> None:
        """Do nothing: the other process ends this one."""
