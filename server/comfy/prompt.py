"""`/prompt`: POST queues a graph, GET replies with the length of the queue."""

import asyncio
from typing import Any

from aiohttp import web

from nodegraph.errors import InvalidWorkflowError
from nodegraph.validate import check
from server.comfy.history import plain_number
from server.comfy.refusals import Refusals, refusal
from server.comfy.submission import read_submission
from server.services import Services, services
from server.store.runs import NewRun


class RefusedError(Exception):
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
    except RefusedError as error:
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
        RefusedError: no part of the prompt can run.
    """
    wanted = read_submission(data, client)
    checked = check(wanted.graph, parts.registry, parts.files, wanted.targets)
    refusals = Refusals(parts.registry, parts.files)
    runnable = checked.runnable if checked.problems else checked.targets
    if not runnable:
        raise RefusedError(refusals.whole(checked))
    return wanted.run(runnable), refusals.by_node(checked)
