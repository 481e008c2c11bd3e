"""`/v1/runs`: submit, look, cancel, retry."""

import asyncio
import hashlib
import uuid
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from nodegraph.errors import InvalidWorkflowError
from nodegraph.plain import is_object
from nodegraph.validate import check
from nodegraph.workflow import read_prompt, to_prompt
from server.services import Services, services
from server.store.runs import NewRun, Run, State, Work
from server.v1.models import (
    OutputModel,
    Outputs,
    RunModel,
    RunPage,
    RunRequest,
)
from server.v1.operation import BadParameterError, body_of, natural, reply

_STATUS = "status"
STATES: tuple[State, ...] = ("queued", "running", "succeeded", "failed", "cancelled")
LARGEST_PAGE = 1000
_KEY, _LONGEST_KEY = "Idempotency-Key", 200


async def create(request: web.Request) -> web.Response:
    """Submit a workflow.

    It is checked first; once the reply is there, the run is on the disk. With an
    `Idempotency-Key` the same request can be sent again: it is the same run.
    """
    wanted = await body_of(request, RunRequest)
    parts = services(request)
    new = await asyncio.to_thread(_new_run, parts, wanted)
    key = request.headers.get(_KEY)
    if key is not None and not 0 < len(key) <= _LONGEST_KEY:
        raise BadParameterError(_KEY, f"1 to {_LONGEST_KEY} characters long")
    digest = hashlib.sha256(wanted.model_dump_json().encode()).hexdigest()
    accepted = await parts.dispatcher.submit(
        NewRun(
            id=str(uuid.uuid4()),
            work=new,
            client=wanted.client,
            priority=wanted.priority,
            webhook=wanted.webhook,
            idempotency_key=key,
            digest=digest,
        )
    )
    run = accepted.run
    location = {"Location": f"/v1/runs/{run.id}"}
    return reply(shown(parts, run), 201 if accepted.event else 200, **location)


async def listing(request: web.Request) -> web.Response:
    """The runs, newest first."""
    parts = services(request)
    states = [text for text in request.query.get(_STATUS, "").split(",") if text]
    unknown = [text for text in states if text not in STATES]
    if unknown:
        raise BadParameterError(_STATUS, f"of {', '.join(STATES)}")
    limit = natural(request, "limit", 50, LARGEST_PAGE)
    cursor = natural(request, "cursor", 0, 2**62)
    chosen: list[State] = [state for state in STATES if state in states]
    runs = await parts.store.runs(chosen, before=cursor or None, limit=limit)
    following = str(runs[-1].seq) if runs and len(runs) == limit else None
    return reply(RunPage(runs=[shown(parts, run) for run in runs], next_cursor=following))


async def look(request: web.Request) -> web.Response:
    """One run."""
    parts = services(request)
    return reply(shown(parts, await parts.store.run(request.match_info["run"])))


async def cancel(request: web.Request) -> web.Response:
    """Stop a run after its present step, or take it out of the queue.

    Nothing happens to a run that is over.
    """
    parts = services(request)
    run = await parts.store.run(request.match_info["run"])
    await parts.dispatcher.cancel(run.id)
    return reply(shown(parts, await parts.store.run(run.id)))


async def retry(request: web.Request) -> web.Response:
    """Queue a run again that failed or was cancelled."""
    parts = services(request)
    return reply(shown(parts, await parts.dispatcher.retry(request.match_info["run"])))


async def outputs(request: web.Request) -> web.Response:
    """The files that a run made so far, and where to get them."""
    parts = services(request)
    run = await parts.store.run(request.match_info["run"])
    found: list[OutputModel] = []
    for event in await parts.store.all_events(run.id):
        if event.name not in ("node_finished", "node_cached"):
            continue
        ui: dict[str, list[Any]] = event.data.get("ui") or {}
        for kind, items in ui.items():
            found += [
                OutputModel(
                    node=event.data["node_id"],
                    kind=kind,
                    filename=str(item["filename"]),
                    url=f"/view?{urlencode(item)}",
                )
                for item in items
                if is_object(item) and "filename" in item
            ]
    return reply(Outputs(outputs=found))


def shown(parts: Services, run: Run) -> RunModel:
    """A run with its place in the queue."""
    return RunModel.of(run, parts.dispatcher.position(run.id))


def _new_run(parts: Services, wanted: RunRequest) -> Work:
    """The checked work.

    Raises:
        InvalidWorkflowError: something is wrong with it.
    """
    graph = read_prompt(wanted.workflow)
    checked = check(graph, parts.registry, parts.files, wanted.targets)
    if checked.problems:
        raise InvalidWorkflowError(checked.problems)
    editor = {"workflow": graph.editor} if graph.editor else {}
    return Work(prompt=to_prompt(graph), targets=checked.targets, extra={"extra_pnginfo": editor})
