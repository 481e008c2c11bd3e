"""The main loop in a pack's own environment: imports the pack, and calls its nodes when asked."""

import logging
import os
import queue
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import IO, Any, NoReturn

from nodegraph.definition.node import NodeType
from nodegraph.errors import NodeGraphError
from nodegraph.files.files import Files
from nodegraph.graph.graph import Link, Node
from nodegraph.graph.json_values import is_plain
from nodegraph.graph.results import Artifact, Blocked, Expansion, Ui
from nodegraph.packs.catalog import PackSource, source_from_text
from nodegraph.packs.loading import import_types
from nodegraph.packs.routes import PackServer
from nodegraph.runtime.choices import PreviewMethod
from nodegraph.runtime.model_pool import ModelPool
from nodes.comfy.apart.errors import CannotCrossError
from nodes.comfy.apart.messages import read_message, write_message
from nodes.comfy.call import CONTEXT
from nodes.comfy.values import runtime
from nodes.comfy.values.convert import ExecutionBlocker, to_pack
from nodes.comfy.values.errors import NotOfferedError

_LONGEST_START = 60.0
"""The most seconds until the pack's routes are answered."""
_log = logging.getLogger(__name__)


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
    replies: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    listen = partial(_listen, questions, waiting, replies)
    threading.Thread(target=listen, daemon=True).start()
    answering = _Answering(source_from_text(source), answers, replies)
    while True:
        answering.answer(waiting.get())


def _listen(
    questions: IO[bytes],
    waiting: "queue.SimpleQueue[dict[str, Any]]",
    replies: "queue.SimpleQueue[dict[str, Any]]",
) -> None:
    """Pass on questions, and replies to what a node asks.

    The process ends when the other end is gone, whatever a node does.
    """
    while (question := read_message(questions)) is not None:
        (replies if question["op"] == "reply" else waiting).put(question)
    os._exit(0)


class _Answering:
    """Answers questions to one pack, which it imports for the first."""

    def __init__(
        self,
        source: PackSource,
        answers: IO[bytes],
        replies: "queue.SimpleQueue[dict[str, Any]]",
    ) -> None:
        self._source = source
        self._answers = answers
        self._replies = replies
        self._server = PackServer(self._tell)
        self._types: dict[str, NodeType[..., Any]] = {}
        self._writing = threading.Lock()
        self._asking = threading.Lock()
        self._is_answering = False
        """True while the other end reads; nothing is written at any other time."""

    def answer(self, question: Mapping[str, Any]) -> None:
        """Write the answer, or the failure."""
        with self._writing:
            self._is_answering = True
        try:
            self._end({"op": "answer", "value": self._value(question)})
        except CannotCrossError as error:
            self._fail(str(error))
        except NodeGraphError as error:
            self._fail(error.message)
        except Exception as error:  # noqa: BLE001 - foreign code; it is the node's error
            self._fail(f"{type(error).__name__}: {error}")

    def _fail(self, message: str) -> None:
        trace = traceback.format_exc()
        self._end({"op": "failure", "message": message, "trace": trace})

    def _end(self, message: Mapping[str, object]) -> None:
        """Write the last message of an answer.

        Raises:
            CannotCrossError: it has a value of another kind; nothing is written.
        """
        with self._writing:
            write_message(self._answers, message)
            self._is_answering = False

    def _value(self, question: Mapping[str, Any]) -> object:
        if not self._types:
            resolve_name(self._source.host)(None, self._server)
            found = import_types(self._source.module, f"the pack {self._source.name!r}")
            self._types = {each.spec.name: each for each in found}
        files = runtime.current().files.for_owner(question["owner"])
        match question["op"]:
            case "prompt":
                return self._change(question["request"], files)
            case "site":
                self._open_site(question["site"], Path(question["socket"]))
                return None
            case _:
                return self._of_type(self._types[question["type"]], question, files)

    def _of_type(
        self, kind: NodeType[..., Any], question: Mapping[str, Any], files: Files
    ) -> object:
        """Return the answer to a question about a node type."""
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
                facts = question["context"]
                self._server.clients[facts["run_id"]] = question["client"]
                context = _Context(files=files, send=self._send, ask=self._ask, **facts)
                returned = kind.function(**question["inputs"], **{CONTEXT: context})
                return as_message(returned)

    def _change(self, request: Any, files: Files) -> object:
        """Return a request to run a prompt as the pack's handlers change it."""
        for change in list(self._server.prompt_changes.values()):
            request = change(request, files)
        return request

    def _open_site(self, site: str, socket: Path) -> None:
        """Have the pack's routes answered on a socket, in a thread of its own."""
        opened = threading.Event()
        serve: Callable[..., object] = resolve_name(site)
        serving = partial(serve, self._server, socket, opened.set)
        threading.Thread(target=serving, name="routes", daemon=True).start()
        opened.wait(_LONGEST_START)

    def _send(self, message: Mapping[str, object]) -> bool:
        """Write a message if the other end reads; return True if it does."""
        with self._writing:
            if self._is_answering:
                write_message(self._answers, message)
            return self._is_answering

    def _ask(self, message: Mapping[str, object]) -> Mapping[str, Any]:
        """Ask the engine, and wait for its reply.

        Raises:
            NotOfferedError: the node has ended.
        """
        with self._asking:
            if self._send(message):
                return self._replies.get()
        what = "the graph of a run whose node has ended"
        raise NotOfferedError(what)

    def _tell(self, name: str, data: object, run: str) -> None:
        """Send a message of the pack to clients; outside of an answer to nobody."""
        del run
        if is_plain(data):
            self._send({"op": "message", "name": name, "data": data})
        else:
            _log.warning("the message %r of a pack is dropped: it is not JSON", name)


def as_message(returned: object) -> dict[str, object]:
    """Return a node's result in ComfyUI's plain form, which can cross."""
    if isinstance(returned, Expansion):
        nodes = {
            name: {"class_type": node.type_name, "inputs": _plain_inputs(node.inputs)}
            for name, node in returned.nodes.items()
        }
        outputs = [_plain(value) for value in returned.outputs]
        return {"ui": None, "expand": nodes, "outputs": outputs}
    if isinstance(returned, Ui):
        shown = {name: [_shown_file(item) for item in v] for name, v in returned.artifacts.items()}
        outputs = [_plain(value) for value in returned.outputs]
        return {"ui": {**shown, **returned.values}, "outputs": outputs}
    values = returned if isinstance(returned, tuple) else (returned,)
    return {"ui": None, "outputs": [_plain(value) for value in values]}


def _shown_file(item: Artifact) -> dict[str, str]:
    return item.as_dict()


def _plain_inputs(inputs: Mapping[str, object]) -> dict[str, object]:
    return {name: _plain(value) for name, value in inputs.items()}


def _plain(value: object) -> object:
    if isinstance(value, Link):
        return value
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
    send: Callable[[Mapping[str, object]], object]
    ask: Callable[[Mapping[str, object]], Mapping[str, Any]]
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
        """Return a node as it runs, without inputs that can not cross; None if there is none."""
        found = self.ask({"op": "node", "node_id": node_id})["node"]
        return Node(node_id, found["type_name"], found["inputs"]) if found else None

    def shown_as(self, node_id: str) -> str:
        """Return the node of the submitted graph that stands for a node in the editor."""
        return self.ask({"op": "shown_as", "node_id": node_id})["node_id"]

    def progress(self, value: int, total: int) -> None:
        """Report progress."""
        self.send({"op": "progress", "value": int(value), "total": int(total)})

    def preview(self, image: bytes, mime: str) -> None:
        """Show an intermediate image."""
        self.send({"op": "preview", "image": image, "mime": mime})

    def progress_text(self, text: str) -> None:
        """Show an unfinished text."""
        self.send({"op": "progress_text", "message": text})

    def notice(self, message: str) -> None:
        """Tell the user something."""
        self.send({"op": "notice", "message": message})

    def check_cancelled(self) -> None:
        """Do nothing: the other process ends this one."""
