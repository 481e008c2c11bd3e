"""`/prompt`: reads and queues a prompt; anything wrong is an error, nothing is guessed."""

import asyncio
import hashlib
import json
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from aiohttp import web

from nodegraph.errors import InvalidPromptError, InvalidWorkflowError, NodeGraphError
from nodegraph.graph.graph import Graph
from nodegraph.graph.json_values import is_clean, is_list, is_object, parse_json
from nodegraph.validation.validate import check
from nodegraph.workflow.api_format import as_sent
from nodegraph.workflow.read import read_prompt
from server.api.comfy.history import plain_number
from server.api.comfy.validation_errors import Refusals, refusal
from server.store.runs import NewRun, Work
from server.web.services import Services, services

_LONGEST_ID = 200


class NoPromptError(NodeGraphError):
    """A request has no prompt."""

    code = "no_prompt"

    def __init__(self) -> None:
        super().__init__("there is no prompt.", hint='Send {"prompt": {…}, "client_id": "…"}.')


class PromptRefusedError(Exception):
    """No part of a prompt can run; holds the reply."""

    def __init__(self, reply: dict[str, Any]) -> None:
        super().__init__()
        self.reply = reply


async def post_prompt(request: web.Request) -> web.Response:
    """Queue a prompt; of one that is valid in parts, queue those."""
    parts = services(request)
    client = request.query.get("clientId", "")
    try:
        new, errors = await asyncio.to_thread(_new, parts, await request.read(), client)
        accepted = await parts.dispatcher.submit(new)
    except PromptRefusedError as error:
        return web.json_response(error.reply, status=400)
    except InvalidWorkflowError as error:
        return web.json_response(refusal(error.problems), status=400)
    run = accepted.run
    reply = {"prompt_id": run.id, "number": plain_number(run.number), "node_errors": errors}
    return web.json_response(reply)


async def get_prompt(request: web.Request) -> web.Response:
    """Reply with the number of prompts that wait or run."""
    remaining = services(request).dispatcher.remaining
    return web.json_response({"exec_info": {"queue_remaining": remaining}})


def _new(parts: Services, data: bytes, client: str) -> tuple[NewRun, dict[str, Any]]:
    """Return the run that a request asks for, and the problems of the nodes that are left out.

    Raises:
        InvalidWorkflowError: the request is malformed.
        PromptRefusedError: no part of the prompt can run.
    """
    wanted = read_submission(data, client)
    checked = check(wanted.graph, parts.registry, parts.files, wanted.targets)
    refusals = Refusals(parts.registry, parts.files)
    runnable = checked.runnable if checked.problems else checked.targets
    if not runnable:
        raise PromptRefusedError(refusals.whole(checked))
    return wanted.run(runnable), refusals.by_node(checked)


@dataclass(frozen=True, slots=True)
class Submission:
    """The parts of a request, all of the right type; the graph itself is not checked yet."""

    graph: Graph
    targets: list[str] | None
    """The ids of the wanted output nodes; all of them if None."""
    id: str
    client: str
    number: float | None
    front: bool
    extra: Mapping[str, Any]

    def run(self, targets: tuple[str, ...]) -> NewRun:
        """Return the run that the request asks for.

        Raises:
            InvalidWorkflowError: a number in it is NaN or infinite.
        """
        work = Work(prompt=as_sent(self.graph), targets=targets, extra=self.extra)
        return NewRun(
            id=self.id,
            work=work,
            client=self.client,
            number=self.number,
            front=self.front,
            digest=self._digest(work),
        )

    def _digest(self, work: Work) -> str:
        """Return the hash of the request, which tells a repeated request from a different one."""
        parts = [work.prompt, self.targets, work.extra, self.client, self.number, self.front]
        try:
            text = json.dumps(parts, sort_keys=True, allow_nan=False)
        except ValueError:
            _refuse("NaN and Infinity are not JSON.", "Send a number, or null.")
        return hashlib.sha256(text.encode()).hexdigest()


def read_submission(data: bytes, client: str = "") -> Submission:
    """Read the body of a request.

    Args:
        data: the body.
        client: the client, if the body names none.

    Raises:
        InvalidWorkflowError: some part of it is malformed.
    """
    body = parse_json(data)
    if not is_object(body) or "prompt" not in body:
        raise InvalidWorkflowError([NoPromptError()])
    return Submission(
        graph=_graph(body["prompt"]),
        targets=_targets(body.get("partial_execution_targets")),
        id=_text(body, "prompt_id") or str(uuid.uuid4()),
        client=_text(body, "client_id") or _text({"clientId": client}, "clientId"),
        number=_number(body.get("number")),
        front=_front(body.get("front")),
        extra=_extra(body.get("extra_data")),
    )


def _graph(prompt: object) -> Graph:
    if is_object(prompt):
        if is_list(prompt.get("nodes")):
            hint = "Send its API format, or send it as it is to POST /v1/runs."
            _refuse("this is a workflow as the editor saves it.", hint)
        if not all(map(is_clean, prompt)):
            _refuse("a node's id has a character that UTF-8 cannot carry.", "Use plain text.")
    return read_prompt(prompt or {})


def _targets(value: object) -> list[str] | None:
    if value is None:
        return None
    if not is_list(value) or not all(isinstance(item, str | int) for item in value):
        _refuse("partial_execution_targets has to be a list of node ids.", 'For example ["9"].')
    return [str(item) for item in value]


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _LONGEST_ID or not is_clean(value):
        _refuse(
            f"{name} has to be a string of at most {_LONGEST_ID} characters.",
            "Send a UUID, or leave it out.",
        )
    return value


def _number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        _refuse("number has to be a number.", "Send a place in the queue, or leave it out.")
    return float(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _front(value: object) -> bool:
    if value is not None and not isinstance(value, bool):
        _refuse("front has to be true or false.", "Leave it out to queue at the end.")
    return value is True


def _extra(value: object) -> Mapping[str, Any]:
    """Return the extra data; ComfyUI's clients also send other empty values for none."""
    if not value:
        return {}
    if not is_object(value):
        _refuse(
            "extra_data has to be an object.", 'For example {"extra_pnginfo": {"workflow": {…}}}.'
        )
    return value


def _refuse(message: str, hint: str) -> NoReturn:
    raise InvalidWorkflowError([InvalidPromptError(message, hint=hint)]) from None
