"""`/v1/runs`: submit, look, cancel, retry, forget."""

from aiohttp import web

from nodegraph.plain import is_object
from server.errors import RunStateError
from server.services import services
from server.store.runs import Which
from server.v1.models import RunPage, WorkflowModel
from server.v1.reading import query_of, reply
from server.v1.requests import ListQuery
from server.v1.submitting import headers_of_run, run_of, shown, submit


async def create_run(request: web.Request) -> web.Response:
    """Submit a workflow.

    It is checked first; once the reply is there, the run is on the disk. With an
    `Idempotency-Key`, or an id of the client's own, the same request can be sent again: it is
    the same run.
    """
    accepted = await submit(request)
    run = accepted.run
    status = 201 if accepted.event else 200
    (model,) = shown(services(request), run)
    return reply(model, status, headers_of_run(run))


async def list_runs(request: web.Request) -> web.Response:
    """The runs, newest first."""
    parts = services(request)
    query = query_of(request, ListQuery)
    which = Which(states=query.status or (), client=query.client, before=query.cursor)
    runs = await parts.store.runs(which, limit=query.limit)
    following = str(runs[-1].seq) if len(runs) == query.limit else None
    return reply(RunPage(runs=shown(parts, *runs), next_cursor=following))


async def get_run(request: web.Request) -> web.Response:
    """One run."""
    (model,) = shown(services(request), await run_of(request))
    return reply(model)


async def delete_run(request: web.Request) -> web.Response:
    """Forget a run that is over; the files that it made stay."""
    run = await run_of(request)
    if not await services(request).store.forget([run.id]):
        raise RunStateError(run.id, run.state, "one that is over", "forgotten")
    return web.Response(status=204)


async def get_run_workflow(request: web.Request) -> web.Response:
    """What a run computes."""
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
    """Stop a run after its present step, or take it out of the queue.

    Nothing happens to a run that is over.
    """
    parts = services(request)
    run = await run_of(request)
    await parts.dispatcher.cancel(run.id)
    (model,) = shown(parts, await parts.store.run(run.id))
    return reply(model)


async def retry_run(request: web.Request) -> web.Response:
    """Queue a run again that failed or was cancelled."""
    parts = services(request)
    run = await run_of(request)
    (model,) = shown(parts, await parts.dispatcher.retry(run.id))
    return reply(model)
