"""Puts the workflow of a request into the queue, and describes runs in replies."""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from nodegraph.errors import InvalidWorkflowError
from nodegraph.graph.graph import Graph
from nodegraph.workflow.api_format import as_sent
from server.api.pack_prompts import changed_by_packs, packs_change_prompts, placed_by_packs
from server.api.v1.handlers.parsing import Submission, headers_of, workflow_of
from server.api.v1.schema.models import RunModel
from server.api.v1.schema.requests import RunRequest, ScoreRequest, SubmitHeaders
from server.store.runs import Accepted, NewRun, Run, Work
from server.web.services import Services, note_run, services, trace_of


async def submit(request: web.Request) -> Accepted:
    """Check the workflow of a request and queue it.

    Raises:
        InvalidWorkflowError: the workflow has problems.
        ValidationError: the request is malformed.
        ServerError: the run is not accepted.
    """
    return await queue_run(request, await workflow_of(request, RunRequest))


async def queue_run(
    request: web.Request, sent: Submission[RunRequest] | Submission[ScoreRequest]
) -> Accepted:
    """Check a workflow and queue it; raises what `submit` raises."""
    parts = services(request)
    key = headers_of(request, SubmitHeaders).key
    wanted = sent.wanted
    run_id = str(wanted.id or uuid.uuid4())
    graph, extra = sent.graph, _extra(sent.graph)
    if packs_change_prompts(parts):
        graph, extra = await changed_by_packs(parts, graph, extra, wanted.client, run_id)
    placed = await asyncio.to_thread(parts.place, graph, wanted.targets, wanted.prefer)
    placed = await placed_by_packs(parts, placed)
    checked = placed.checked
    if checked.problems:
        raise InvalidWorkflowError(checked.problems)
    if wanted.webhook:
        parts.targets.check(wanted.webhook)
    new = NewRun(
        id=run_id,
        work=Work(prompt=as_sent(graph), targets=checked.targets, extra=extra),
        client=wanted.client,
        priority=wanted.priority,
        webhook=wanted.webhook,
        idempotency_key=key,
        digest=sent.digest,
        servers=placed.servers,
        why=placed.why,
        models=placed.models,
        trace=trace_of(request),
    )
    accepted = await parts.dispatcher.submit(new)
    note_run(request, accepted.run.id)
    return accepted


async def run_of(request: web.Request) -> Run:
    """Return the run that a path names.

    Raises:
        UnknownRunError: there is no such run.
    """
    run = await services(request).store.run(request.match_info["run"])
    note_run(request, run.id)
    return run


def run_models(parts: Services, *runs: Run) -> list[RunModel]:
    """Return models of runs, with their positions in the queue."""
    return [RunModel.from_run(run, parts.dispatcher.position(run.id)) for run in runs]


def headers_of_run(run: Run) -> dict[str, str]:
    """Return the headers that name a submitted run."""
    return {"Location": place_of(run), "Nodegraph-Run": run.id}


def place_of(run: Run) -> str:
    """Return the path of a run."""
    return f"/v1/runs/{run.id}"


def _extra(graph: Graph) -> Mapping[str, Any]:
    """Return the data that images carry besides the graph: the editor's description of it."""
    return {"extra_pnginfo": {"workflow": graph.editor} if graph.editor else {}}
