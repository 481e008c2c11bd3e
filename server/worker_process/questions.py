"""Answers to the server's questions about prompts: only a worker imports packs."""

import copy
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nodegraph.errors import InvalidWorkflowError, PackError
from nodegraph.execution.engine import Engine
from nodegraph.files.files import Files
from nodegraph.graph.json_values import is_object, is_plain
from nodegraph.packs.loading import import_named
from nodegraph.packs.routes import ChangePrompt, PackServer
from nodegraph.validation.own_checks import with_own_checks
from nodegraph.workflow.read import read_prompt
from server.worker_process.pack_site import PackMessages
from server.workers.wire import Channel

_AT_ONCE = 4
_log = logging.getLogger(__name__)


class Answers:
    """Answers questions in threads of its own.

    Args:
        engine: knows the packs.
        server: the one that was handed to the packs.
        messages: those of packs, to clients.
        channel: gets the answers.
    """

    def __init__(
        self, engine: Engine, server: PackServer, messages: PackMessages, channel: Channel
    ) -> None:
        self._engine = engine
        self._server = server
        self._messages = messages
        self._channel = channel
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="questions")

    def give(self, question: Mapping[str, Any]) -> None:
        """Answer a question as soon as a thread is free."""
        self._threads.submit(self._give, question)

    def _give(self, question: Mapping[str, Any]) -> None:
        about = self._change if question["about"] == "prompt" else self._check
        try:
            answer = about(question, self._engine.files.for_owner(question["owner"]))
        except Exception:  # noqa: BLE001 - the server waits for an answer in any case
            _log.exception("a question about a prompt could not be answered")
            answer = {}
        self._channel.send({"op": "answer", "number": question["number"], **answer})

    def _change(self, question: Mapping[str, Any], files: Files) -> Mapping[str, Any]:
        """Return the request as the packs change it, and what they tell its client meanwhile."""
        self._import_changing_packs()
        request = question["request"]
        with self._messages.keep() as messages:
            for name, change in list(self._server.prompt_changes.items()):
                request = _change_request(request, name, change, files)
        return {"request": request, "messages": messages}

    def _import_changing_packs(self) -> None:
        for pack in self._engine.registry.packs:
            if pack.changes_prompts:
                try:
                    import_named(pack.module, f"the pack {pack.name!r}")
                except PackError as error:
                    _log.warning("%s", error)

    def _check(self, question: Mapping[str, Any], files: Files) -> Mapping[str, Any]:
        """Return what the node types themselves find wrong with their inputs."""
        try:
            graph = read_prompt(question["prompt"])
        except InvalidWorkflowError:
            return {}
        checked = self._engine.check(graph, question["targets"], files)
        own = with_own_checks(checked, self._engine.registry, files)
        return {"problems": [each.as_dict() for each in own.problems[len(checked.problems) :]]}


def _change_request(
    request: dict[str, Any], name: str, change: ChangePrompt, files: Files
) -> dict[str, Any]:
    """Return a request as one function changes it; unchanged if that fails."""
    try:
        found = change(copy.deepcopy(request), files)
    except Exception as error:  # noqa: BLE001 - foreign code; as in ComfyUI, the prompt goes on
        _log.warning("%s, which changes prompts, fails: %s: %s", name, type(error).__name__, error)
        return request
    if not is_object(found) or not is_object(found.get("prompt")) or not is_plain(found):
        _log.warning("%s, which changes prompts, returns no prompt; it is left as it was", name)
        return request
    return found
