"""From a workflow that somebody sent to a run in the queue."""

import asyncio
import uuid

from aiohttp import web

from nodegraph.errors import InvalidWorkflowError
from nodegraph.validate import check
from nodegraph.workflow import to_prompt
from server.services import Services, services
from server.store.runs import Accepted, NewRun, Run, Work
from server.v1.models import RunModel
from server.v1.reading import Submission, headers_of, workflow_of
from server.v1.requests import RunRequest, SubmitHeaders


async def submit(request: web.Request) -> Accepted:
    """Check what a request carries, and queue it.

    Raises:
        InvalidWorkflowError: something is wrong with the workflow.
        ValidationError: something is wrong with the request.
        ServerError: it is not accepted.
    """
    parts = services(request)
    key = headers_of(request, SubmitHeaders).key
    sent = await workflow_of(request, RunRequest)
    work = await asyncio.to_thread(_checked, parts, sent)
    wanted = sent.wanted
    if wanted.webhook:
        parts.targets.check(wanted.webhook)
    new = NewRun(
        id=str(wanted.id or uuid.uuid4()),
        work=work,
        client=wanted.client,
        priority=wanted.priority,
        webhook=wanted.webhook,
        idempotency_key=key,
        digest=sent.digest,
    )
    return await parts.dispatcher.submit(new)


async def run_of(request: web.Request) -> Run:
    """The run that a path names.

    Raises:
        UnknownRunError: there is none.
    """
    return await services(request).store.run(request.match_info["run"])


def shown(parts: Services, *runs: Run) -> list[RunModel]:
    """Runs with their places in the queue."""
    return [RunModel.of(run, parts.dispatcher.position(run.id)) for run in runs]


def headers_of_run(run: Run) -> dict[str, str]:
    """Those that name a run that was just submitted."""
    return {"Location": place_of(run), "Nodegraph-Run": run.id}


def place_of(run: Run) -> str:
    """Where a run is found."""
    return f"/v1/runs/{run.id}"


def _checked(parts: Services, sent: Submission[RunRequest]) -> Work:
    """The checked work.

    Raises:
        InvalidWorkflowError: something is wrong with it.
    """
    graph = sent.graph
    checked = check(graph, parts.registry, parts.files, sent.wanted.targets)
    if checked.problems:
        raise InvalidWorkflowError(checked.problems)
    editor = {"workflow": graph.editor} if graph.editor else {}
    return Work(prompt=to_prompt(graph), targets=checked.targets, extra={"extra_pnginfo": editor})
