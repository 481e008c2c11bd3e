"""`/jobs`: runs of any state as the newer editors list them, newest first."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiohttp import web

from nodegraph.errors import short_repr
from nodegraph.graph.json_values import is_list, is_object
from server.api.comfy import history
from server.errors import UnknownRunError
from server.store.runs import Milestone, Run, RunFilter, State
from server.web.request_bodies import ids_in, natural_number, read_object
from server.web.services import Services, services

_STATES: Mapping[str, State] = {
    "pending": "queued",
    "in_progress": "running",
    "completed": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}
_NAMES = {state: name for name, state in _STATES.items()}
LARGEST_PAGE = 1000
_ANIMATED = "animated"
"""A key among a node's outputs that only says how to display the others."""


async def get_jobs(request: web.Request) -> web.Response:
    """Reply with a page of jobs: `?status=completed,failed&limit=&offset=`."""
    parts = services(request)
    states = _states(request)
    limit = min(natural_number(request, "limit", LARGEST_PAGE), LARGEST_PAGE)
    offset = natural_number(request, "offset", 0)
    runs = await parts.store.runs(RunFilter(states=states), limit=limit, offset=offset)
    total = await parts.store.count(RunFilter(states=states))
    results = await parts.store.results([run.id for run in runs])
    page = {
        "offset": offset,
        "limit": limit,
        "total": total,
        "has_more": offset + len(runs) < total,
    }
    jobs: list[dict[str, Any]] = []
    for run in runs:
        with suppress(UnknownRunError):  # deleted in the meantime
            jobs.append(await _list_item(parts, run, results.get(run.id, ())))
    return web.json_response({"jobs": jobs, "pagination": page})


async def get_job(request: web.Request) -> web.Response:
    """Reply with one job, its outputs and its workflow."""
    parts = services(request)
    run = await parts.store.find(request.match_info["run"])
    if run is None:
        return _not_found(request)
    entry = await history.entry(parts, run)
    number, _, prompt, extra, _ = entry["prompt"]
    more = {
        "outputs": entry["outputs"],
        "execution_status": entry["status"],
        "workflow": {"prompt": prompt, "extra_data": extra},
    }
    identity = _workflow_id(extra)
    if identity is not None:
        more["workflow_id"] = identity
    return web.json_response({**_job(run, entry), "priority": number, **more})


async def cancel_job(request: web.Request) -> web.Response:
    """Stop a job or take it out of the queue; do nothing if it is over."""
    parts = services(request)
    run = await parts.store.find(request.match_info["run"])
    if run is None:
        return _not_found(request)
    return web.json_response({"cancelled": await parts.dispatcher.cancel(run.id)})


async def cancel_jobs(request: web.Request) -> web.Response:
    """Cancel several jobs: `{"job_ids": [id]}`; the reply lists those that were not over."""
    dispatcher = services(request).dispatcher
    wanted = ids_in(await read_object(request), "job_ids")
    cancelled = [run_id for run_id in wanted if await dispatcher.cancel(run_id)]
    return web.json_response({"cancelled": cancelled})


async def _list_item(parts: Services, run: Run, results: Sequence[Milestone]) -> dict[str, Any]:
    """Return a run in the form of the list; only for a failed one all its events are read."""
    if run.state == "failed":
        return _job(run, await history.entry(parts, run))
    outputs = {node: ui for node, (ui, _) in history.outputs_by_node(results).items()}
    return _job(run, {"outputs": outputs})


def _job(run: Run, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that every form of a job has, without those that have no value."""
    items = list(_items(entry["outputs"]))
    facts = {
        "execution_start_time": run.started_ms,
        "execution_end_time": run.finished_ms,
        "execution_error": _error(entry) if run.state == "failed" else None,
        "preview_output": _preview(items),
    }
    return {
        "id": run.id,
        "status": _NAMES[run.state],
        "create_time": run.created_ms,
        "priority": history.plain_number(run.number),
        "outputs_count": len(items),
        **{name: value for name, value in facts.items() if value is not None},
    }


def _items(outputs: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, object]]:
    """Yield each output with its node and its kind."""
    for node, ui in outputs.items():
        for kind, found in ui.items():
            if is_list(found) and kind != _ANIMATED:
                yield from ((node, kind, item) for item in found)


def _preview(items: Iterable[tuple[str, str, object]]) -> dict[str, Any] | None:
    """Return the first saved file, or else the first temporary one."""
    files = [
        {**item, "nodeId": node, "mediaType": kind}
        for node, kind, item in items
        if is_object(item) and "filename" in item
    ]
    saved = (file for file in files if file.get("type") == "output")
    return next(saved, files[0] if files else None)


def _error(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    messages: list[tuple[str, dict[str, Any]]] = entry["status"]["messages"]
    return next((data for name, data in messages if name == "execution_error"), None)


def _workflow_id(extra: Mapping[str, Any]) -> str | None:
    info = extra.get("extra_pnginfo")
    workflow = info.get("workflow") if is_object(info) else None
    identity = workflow.get("id") if is_object(workflow) else None
    return identity if isinstance(identity, str) else None


def _states(request: web.Request) -> list[State]:
    names = [name for name in request.query.get("status", "").split(",") if name]
    for name in names:
        if name not in _STATES:
            known = ", ".join(_STATES)
            raise web.HTTPBadRequest(text=f"400: status is one or more of {known}.\n")
    return [_STATES[name] for name in dict.fromkeys(names)]


def _not_found(request: web.Request) -> web.Response:
    message = f"there is no job {short_repr(request.match_info['run'])}."
    return web.json_response({"error": message}, status=404)
