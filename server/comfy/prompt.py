"""`POST /prompt`: accept a graph; `GET /prompt`: how many are waiting."""

import asyncio
import math
import uuid
from collections.abc import Mapping
from typing import Any, NoReturn

from aiohttp import web

from nodegraph.errors import InvalidPromptError, InvalidWorkflowError, NodeGraphError
from nodegraph.graph import Graph
from nodegraph.plain import is_list, is_object
from nodegraph.validate import Checked, check
from nodegraph.workflow import read_prompt, to_prompt
from nodegraph.workflow.parse import parse_json
from server.comfy.refusals import Refusals, refusal
from server.errors import ServerError
from server.services import Services, services
from server.store.runs import NewRun, Work

_LONGEST_ID = 200


class NoPromptError(NodeGraphError):
    """The request has no prompt."""

    code = "no_prompt"

    def __init__(self) -> None:
        super().__init__("there is no prompt.", hint='Send {"prompt": {…}, "client_id": "…"}.')


async def post_prompt(request: web.Request) -> web.Response:
    """Queue what validates; a prompt of which a part does is queued for that part."""
    parts = services(request)
    try:
        body = _body(await request.read())
        graph = read_prompt(body["prompt"])
        new = _request(body, request.query.get("clientId", ""))
    except InvalidWorkflowError as error:
        return web.json_response(refusal(error.problems), status=400)
    checked = await asyncio.to_thread(_checked, parts, graph, body)
    refusals = Refusals(parts.registry, parts.files)
    runnable = checked.runnable if checked.problems else checked.targets
    if not runnable:
        return web.json_response(refusals.whole(checked), status=400)
    work = Work(prompt=to_prompt(graph), targets=runnable, extra=new.pop("extra"))
    try:
        accepted = await parts.dispatcher.submit(NewRun(work=work, **new))
    except ServerError as error:
        return web.json_response(refusal([error]), status=error.status)
    run = accepted.run
    number = int(run.number) if run.number.is_integer() else run.number
    errors = refusals.by_node(checked) if checked.problems else {}
    return web.json_response({"prompt_id": run.id, "number": number, "node_errors": errors})


async def get_prompt(request: web.Request) -> web.Response:
    """How many prompts are not over."""
    remaining = services(request).dispatcher.remaining
    return web.json_response({"exec_info": {"queue_remaining": remaining}})


def _body(data: bytes) -> Mapping[str, Any]:
    value = parse_json(data)
    if not is_object(value) or "prompt" not in value:
        raise InvalidWorkflowError([NoPromptError()])
    return value


def _request(body: Mapping[str, Any], client: str) -> dict[str, Any]:
    """All of a request but its graph, checked."""
    run_id = body.get("prompt_id") or str(uuid.uuid4())
    client_id = body.get("client_id") or client
    number, extra = body.get("number"), body.get("extra_data")
    if not isinstance(run_id, str) or len(run_id) > _LONGEST_ID:
        _refuse("prompt_id is no text of a sensible length.", "Send a UUID, or leave it out.")
    if not isinstance(client_id, str) or len(client_id) > _LONGEST_ID:
        _refuse("client_id is no text of a sensible length.", "Send a UUID, or leave it out.")
    if number is not None and not (_is_number(number) and math.isfinite(number)):
        _refuse("number is no number.", "Send a place in the queue, or leave it out.")
    return {
        "id": run_id,
        "client": client_id,
        "number": None if number is None else float(number),
        "front": body.get("front") is True,
        "extra": extra if is_object(extra) else {},
    }


def _checked(parts: Services, graph: Graph, body: Mapping[str, Any]) -> Checked:
    targets = body.get("partial_execution_targets")
    wanted = [str(item) for item in targets] if is_list(targets) else None
    return check(graph, parts.registry, parts.files, wanted)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse(message: str, hint: str) -> NoReturn:
    raise InvalidWorkflowError([InvalidPromptError(message, hint=hint)])
