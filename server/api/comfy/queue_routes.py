"""`/queue`, `/interrupt` and `/free`: the queue for ComfyUI's clients."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from server.api.comfy.history import queue_item
from server.store.runs import Run
from server.web.request_bodies import ids_in, read_object
from server.web.services import services


async def get_queue(request: web.Request) -> web.Response:
    """Reply with the active runs and the waiting ones, next first."""
    parts = services(request)
    running = parts.dispatcher.active_runs()
    pending = await parts.store.find_many(parts.dispatcher.queue())
    works = await parts.store.works([run.id for run in (*running, *pending)])

    def items(runs: Sequence[Run]) -> list[list[Any]]:
        return [queue_item(run, works[run.id]) for run in runs if run.id in works]

    return web.json_response({"queue_running": items(running), "queue_pending": items(pending)})


async def post_queue(request: web.Request) -> web.Response:
    """Take runs out of the queue: all with `{"clear": true}`, some with `{"delete": [id]}`."""
    dispatcher = services(request).dispatcher
    body = await read_object(request)
    wanted = ids_in(body, "delete")
    if body.get("clear") is True:
        await dispatcher.clear()
    for run_id in wanted:
        await dispatcher.withdraw(run_id)
    return web.Response()


async def interrupt(request: web.Request) -> web.Response:
    """Stop active runs: all of them, one prompt, or those of a client."""
    dispatcher = services(request).dispatcher
    body = await read_object(request)
    for run in dispatcher.active_runs():
        if _is_meant(body.get("prompt_id"), run.id) and _is_meant(
            body.get("client_id"), run.client
        ):
            await dispatcher.cancel(run.id)
    return web.Response()


async def free(request: web.Request) -> web.Response:
    """Have the workers clear their result caches, which frees the models that no run uses."""
    body = await read_object(request)
    if body.get("unload_models") or body.get("free_memory"):
        for worker in services(request).dispatcher.workers:
            await worker.free()
    return web.Response()


def _is_meant(wanted: object, found: str) -> bool:
    return wanted is None or wanted == found
