"""`/v1/runs`: submit, list, cancel, retry and delete runs."""

from aiohttp import web

from nodegraph.graph.json_values import is_object
from server.api.v1.handlers.parsing import query_of, reply
from server.api.v1.handlers.submit import headers_of_run, run_models, run_of, submit
from server.api.v1.schema.models import RunPage, WorkflowModel
from server.api.v1.schema.requests import ListQuery
from server.errors import RunStateError
from server.store.runs import RunFilter
from server.web.services import services


async def create_run(request: web.Request) -> web.Response:
    """Submit a workflow.

    The workflow is checked first. The run is stored on disk before the reply is sent. With an
    `Idempotency-Key` or an id from the client, the request can be repeated and gives the same
    run.
    """
    accepted = await submit(request)
    run = accepted.run
    status = 201 if accepted.event else 200
    (model,) = run_models(services(request), run)
    return reply(model, status, headers_of_run(run))


async def list_runs(request: web.Request) -> web.Response:
    """List runs, newest first."""
    parts = services(request)
    query = query_of(request, ListQuery)
    which = RunFilter(states=query.status or (), client=query.client, before=query.cursor)
    runs = await parts.store.runs(which, limit=query.limit)
    following = str(runs[-1].seq) if len(runs) == query.limit else None
    return reply(RunPage(runs=run_models(parts, *runs), next_cursor=following))


async def get_run(request: web.Request) -> web.Response:
    """Get a run."""
    (model,) = run_models(services(request), await run_of(request))
    return reply(model)


async def delete_run(request: web.Request) -> web.Response:
    """Delete a run that is over; its output files stay."""
    run = await run_of(request)
    if not await services(request).store.forget([run.id]):
        raise RunStateError(run.id, run.state, "one that is over", "forgotten")
    return web.Response(status=204)


async def get_run_workflow(request: web.Request) -> web.Response:
    """Get the workflow of a run."""
    run = await run_of(request)
    work = await services(request).store.work(run.id)
    sent = work.extra.get("extra_pnginfo")
    editor = sent.get("workflow") if is_object(sent) else None
    return reply(
        WorkflowModel(
            workflow=dict(work.prompt),
            targets=list(work.targets),
            editor=dict(editor) if is_object(editor) else None,
        )
    )


async def cancel_run(request: web.Request) -> web.Response:
    """Stop a run after its current step, or take it out of the queue.

    A run that is over stays as it is.
    """
    parts = services(request)
    run = await run_of(request)
    await parts.dispatcher.cancel(run.id)
    (model,) = run_models(parts, await parts.store.run(run.id))
    return reply(model)


async def retry_run(request: web.Request) -> web.Response:
    """Queue a run that failed or was cancelled again."""
    parts = services(request)
    run = await run_of(request)
    (model,) = run_models(parts, await parts.dispatcher.retry(run.id))
    return reply(model)
