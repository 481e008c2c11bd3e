"""`/jobs`: runs as the newer editors list them, whatever their state, newest first."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiohttp import web

from nodegraph.errors import shown
from nodegraph.plain import is_list, is_object
from server.bodies import ids_in, natural, read_object
from server.comfy import history
from server.errors import UnknownRunError
from server.services import Services, services
from server.store.runs import Milestone, Run, State, Which

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
"""A key among a node's outputs that says how to show the others."""


async def get_jobs(request: web.Request) -> web.Response:
    """A page of them: `?status=completed,failed&limit=&offset=`."""
    parts = services(request)
    states = _states(request)
    limit = min(natural(request, "limit", LARGEST_PAGE), LARGEST_PAGE)
    offset = natural(request, "offset", 0)
    runs = await parts.store.runs(Which(states=states), limit=limit, offset=offset)
    total = await parts.store.count(Which(states=states))
    results = await parts.store.results([run.id for run in runs])
    page = {
        "offset": offset,
        "limit": limit,
        "total": total,
        "has_more": offset + len(runs) < total,
    }
    jobs: list[dict[str, Any]] = []
    for run in runs:
        with suppress(UnknownRunError):  # it may be deleted meanwhile
            jobs.append(await _listed(parts, run, results.get(run.id, ())))
    return web.json_response({"jobs": jobs, "pagination": page})


async def get_job(request: web.Request) -> web.Response:
    """One of them, with all that it computed and was asked."""
    parts = services(request)
    run = await parts.store.find(request.match_info["run"])
    if run is None:
        return _unknown(request)
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
    """Stop it, or take it out of the queue; nothing happens to one that is over."""
    parts = services(request)
    run = await parts.store.find(request.match_info["run"])
    if run is None:
        return _unknown(request)
    return web.json_response({"cancelled": await parts.dispatcher.cancel(run.id)})


async def cancel_jobs(request: web.Request) -> web.Response:
    """Stop several: `{"job_ids": [id]}`; the reply names those that were not over."""
    dispatcher = services(request).dispatcher
    wanted = ids_in(await read_object(request), "job_ids")
    cancelled = [run_id for run_id in wanted if await dispatcher.cancel(run_id)]
    return web.json_response({"cancelled": cancelled})


async def _listed(parts: Services, run: Run, results: Sequence[Milestone]) -> dict[str, Any]:
    """A run in the list; only of one that failed is all read that happened to it."""
    if run.state == "failed":
        return _job(run, await history.entry(parts, run))
    outputs = {node: ui for node, (ui, _) in history.shown_by(results).items()}
    return _job(run, {"outputs": outputs})


def _job(run: Run, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a run everywhere; names without a value are left out."""
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
    """Everything that was shown: by which node, as what, and the thing itself."""
    for node, ui in outputs.items():
        for kind, found in ui.items():
            if is_list(found) and kind != _ANIMATED:
                yield from ((node, kind, item) for item in found)


def _preview(items: Iterable[tuple[str, str, object]]) -> dict[str, Any] | None:
    """The first file that was saved, or else the first that was shown."""
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


def _unknown(request: web.Request) -> web.Response:
    message = f"there is no job {shown(request.match_info['run'])}."
    return web.json_response({"error": message}, status=404)
