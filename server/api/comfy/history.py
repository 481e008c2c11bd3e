"""`/history`: finished runs with their outputs, status and messages."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiohttp import web

from server.api.comfy.ws_messages import Translator
from server.errors import UnknownRunError
from server.store.runs import ENDED, Milestone, Run, RunFilter, Work
from server.web.request_bodies import ids_in, natural_number, read_object
from server.web.services import Services, services

MOST = 1000
"""The most runs in one reply; `offset` leads to the others."""
_STATUS = {"succeeded": "success", "failed": "error", "cancelled": "error"}
"""ComfyUI's status of each state; runs that are not over appear only under `/jobs`."""
_KEPT = (
    *("execution_start", "execution_cached", "execution_success"),
    *("execution_error", "execution_interrupted"),
)


async def get_history(request: web.Request) -> web.Response:
    """Reply with the newest finished runs, the oldest of them first: `?max_items=&offset=`."""
    parts = services(request)
    limit = min(natural_number(request, "max_items", MOST), MOST)
    offset = natural_number(request, "offset", 0)
    runs = await parts.store.runs(RunFilter(states=ENDED, begun=True), limit=limit, offset=offset)
    entries: dict[str, Any] = {}
    for run in reversed(runs):
        with suppress(UnknownRunError):  # deleted in the meantime
            entries[run.id] = await entry(parts, run)
    return web.json_response(entries)


async def get_one(request: web.Request) -> web.Response:
    """Reply with a finished run under its id; with `{}` if it is not over or never started."""
    parts = services(request)
    run_id = request.match_info["run"]
    found = await parts.store.find(run_id)
    over = found is not None and found.is_over and found.started_ms is not None
    entries = {run_id: await entry(parts, found)} if found and over else {}
    return web.json_response(entries)


async def post_history(request: web.Request) -> web.Response:
    """Delete runs: `{"clear": true}` or `{"delete": [id]}`."""
    parts = services(request)
    body = await read_object(request)
    wanted = ids_in(body, "delete")
    if body.get("clear") is True:
        await parts.store.forget()
    if wanted:
        await parts.store.forget(wanted)
    return web.Response()


async def entry(parts: Services, run: Run) -> dict[str, Any]:
    """Return a run in the form of the history."""
    events = await parts.store.all_events(run.id)
    work = await parts.store.work(run.id)
    outputs = outputs_by_node(events)
    return {
        "prompt": queue_item(run, work),
        "outputs": {node: ui for node, (ui, _) in outputs.items()},
        "status": {
            "status_str": _STATUS.get(run.state, run.state),
            "completed": run.state == "succeeded",
            "messages": _messages(run, events),
        },
        "meta": {node: meta for node, (_, meta) in outputs.items()},
    }


def queue_item(run: Run, work: Work) -> list[Any]:
    """Return a run as queue and history list it: number, id, prompt, extra data, outputs."""
    extra = {**work.extra, "client_id": run.client} if run.client else dict(work.extra)
    extra["create_time"] = run.created_ms
    return [plain_number(run.number), run.id, work.prompt, extra, [*work.targets]]


def plain_number(value: float) -> float:
    """Return a queue number for JSON: 3 rather than 3.0."""
    return int(value) if value.is_integer() else value


def outputs_by_node(
    events: Iterable[Milestone],
) -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return the outputs (`ui`) of each node and its metadata, by node id."""
    outputs: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
    for event in events:
        ui = event.data.get("ui")
        if event.name in ("node_finished", "node_cached") and ui:
            node, stands = event.data["node_id"], event.data["shown_as"]
            parent = stands if stands != node else None
            meta = {
                "node_id": node,
                "display_node": stands,
                "parent_node": parent,
                "real_node_id": stands,
            }
            outputs[node] = (ui, meta)
    return outputs


def _messages(run: Run, events: Sequence[Milestone]) -> list[list[Any]]:
    """Return the messages that the run's client got, without those about single nodes."""
    translator = Translator(run.id)
    found: list[list[Any]] = []
    for event in events:
        for name, data in translator.milestone(event.name, event.data, event.time_ms):
            if name in _KEPT:
                found.append([name, data])
    return found
