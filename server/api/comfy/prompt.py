"""`/prompt`: reads and queues a prompt; anything wrong is an error, nothing is guessed."""

import asyncio
import hashlib
import json
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn, cast, get_args

from aiohttp import web

from nodegraph.errors import InvalidPromptError, InvalidWorkflowError, NodeGraphError
from nodegraph.graph.graph import Graph
from nodegraph.graph.json_values import is_clean, is_list, is_object, parse_json
from nodegraph.runtime.choices import Prefer
from nodegraph.validation.placement import Placement
from nodegraph.workflow.api_format import as_sent
from nodegraph.workflow.read import read_prompt
from server.api.comfy.history import plain_number
from server.api.comfy.validation_errors import Refusals, refusal
from server.api.pack_prompts import changed_by_packs, packs_change_prompts, placed_by_packs
from server.store.runs import NewRun, Work
from server.web.services import Services, note_run, services, trace_of

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
        wanted, placed = await _read_and_place(parts, await request.read(), client)
        has_problems = placed.checked.problems
        errors = await asyncio.to_thread(_errors, parts, placed) if has_problems else {}
        accepted = await parts.dispatcher.submit(wanted.run(placed, trace_of(request)))
    except PromptRefusedError as error:
        return web.json_response(error.reply, status=400)
    except InvalidWorkflowError as error:
        return web.json_response(refusal(error.problems), status=400)
    run = accepted.run
    note_run(request, run.id)
    reply = {"prompt_id": run.id, "number": plain_number(run.number), "node_errors": errors}
    return web.json_response(reply)


async def get_prompt(request: web.Request) -> web.Response:
    """Reply with the number of prompts that wait or run."""
    remaining = services(request).dispatcher.remaining
    return web.json_response({"exec_info": {"queue_remaining": remaining}})


async def _read_and_place(
    parts: Services, data: bytes, client: str
) -> tuple["Submission", Placement]:
    """Read a request and choose its place.

    Packs may change its prompt, and refuse the inputs of their nodes if it runs here.

    Raises:
        InvalidWorkflowError: the request is malformed.
    """

    def read_and_place() -> tuple[Submission, Placement]:
        return _place(parts, read_submission(data, client))

    if packs_change_prompts(parts):
        wanted = await asyncio.to_thread(read_submission, data, client)
        graph, extra = await changed_by_packs(
            parts, wanted.graph, wanted.extra, wanted.client, wanted.id
        )
        wanted = replace(wanted, graph=graph, extra=extra)
        wanted, placed = await asyncio.to_thread(_place, parts, wanted)
    else:
        wanted, placed = await asyncio.to_thread(read_and_place)
    return wanted, await placed_by_packs(parts, placed)


def _place(parts: Services, wanted: "Submission") -> tuple["Submission", Placement]:
    return wanted, parts.place(wanted.graph, wanted.targets, wanted.prefer)


def _errors(parts: Services, placed: Placement) -> dict[str, Any]:
    """Return the problems of the nodes that are left out.

    Raises:
        PromptRefusedError: no part of the prompt can run.
    """
    refusals = Refusals(placed.registry, parts.files)
    if not placed.checked.runnable:
        raise PromptRefusedError(refusals.whole(placed.checked))
    return refusals.by_node(placed.checked)


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
    digest: str
    """Hash of the request, which tells a repeated request from a different one."""

    @property
    def prefer(self) -> Prefer | None:
        """The place that the client prefers; None if it does not say."""
        wanted = self.extra.get("prefer")
        return cast("Prefer", wanted) if wanted in get_args(Prefer) else None

    def run(self, placed: Placement, trace: Mapping[str, str]) -> NewRun:
        """Return the run that the request asks for: what is valid of it, in its place."""
        targets = placed.checked.runnable
        work = Work(prompt=as_sent(self.graph), targets=targets, extra=self.extra)
        return NewRun(
            id=self.id,
            work=work,
            client=self.client,
            number=self.number,
            front=self.front,
            digest=self.digest,
            servers=placed.servers,
            why=placed.why,
            models=placed.models,
            trace=trace,
        )


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
    graph, targets = _graph(body["prompt"]), _targets(body.get("partial_execution_targets"))
    run_id = _text(body, "prompt_id") or str(uuid.uuid4())
    client = _text(body, "client_id") or _text({"clientId": client}, "clientId")
    number, front = _number(body.get("number")), _front(body.get("front"))
    extra = _extra(body.get("extra_data"))
    digest = _digest(as_sent(graph), targets, extra, client, number, front)
    return Submission(graph, targets, run_id, client, number, front, extra, digest)


def _digest(*parts: object) -> str:
    try:
        text = json.dumps(parts, sort_keys=True, allow_nan=False)
    except ValueError:
        _refuse("NaN and Infinity are not JSON.", "Send a number, or null.")
    return hashlib.sha256(text.encode()).hexdigest()


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
