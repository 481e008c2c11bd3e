"""`/v1/runs/{id}/events`: what happened, as pages or as it happens (server-sent events)."""

import asyncio
import json
from contextlib import suppress

from aiohttp import web

from server.bus import Subscriber
from server.services import Services, services
from server.store.runs import Milestone, Run
from server.v1.models import EventModel, EventPage
from server.v1.operation import natural, reply

_STREAM = "text/event-stream"
_KEEP_ALIVE = 15.0
"""Seconds of silence after which something is sent, so that nobody between us gives up."""
_MOST = 1000


async def events(request: web.Request) -> web.StreamResponse:
    """A run's events, in order.

    With `Accept: text/event-stream` they come as they happen, and the stream ends with the
    run; after a break it goes on from `Last-Event-ID`. Else they come as pages.
    """
    parts = services(request)
    run = await parts.store.run(request.match_info["run"])
    if _STREAM in request.headers.get("Accept", ""):
        return await _stream(request, parts, run)
    after = natural(request, "after", 0, 2**62)
    limit = natural(request, "limit", _MOST, _MOST)
    found = await parts.store.events(run.id, after=after, limit=limit)
    last = found[-1].id if found else after
    return reply(EventPage(events=[EventModel.of(event) for event in found], last_id=last))


async def _stream(request: web.Request, parts: Services, run: Run) -> web.StreamResponse:
    text = request.headers.get("Last-Event-ID") or request.query.get("after") or "0"
    after = int(text) if text.isascii() and text.isdecimal() else 0
    response = web.StreamResponse(
        headers={"Content-Type": _STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    subscriber = parts.bus.subscribe(run=run.id)
    try:
        with suppress(ConnectionError):
            await _send_all(response, parts, run.id, after, subscriber)
    finally:
        parts.bus.unsubscribe(subscriber)
    return response


async def _send_all(
    response: web.StreamResponse,
    parts: Services,
    run_id: str,
    after: int,
    subscriber: Subscriber,
) -> None:
    """Send what is kept, and again whenever something was added, until the run is over.

    Everything comes from the store, so nothing is missed and nothing comes twice; the bus only
    says when to look.
    """
    while True:
        for event in await parts.store.events(run_id, after=after, limit=_MOST):
            await response.write(_written(event))
            after = event.id
        run = await parts.store.find(run_id)
        if run is None or run.ended:
            if not await parts.store.events(run_id, after=after, limit=1):
                return
        elif not await _news(response, run_id, subscriber):
            return


async def _news(response: web.StreamResponse, run_id: str, subscriber: Subscriber) -> bool:
    """Wait until something of the run was added; False if there will be nothing more."""
    while True:
        try:
            message = await asyncio.wait_for(subscriber.next(), _KEEP_ALIVE)
        except TimeoutError:
            await response.write(b": \n\n")
            continue
        if message is None:
            return False
        if message.name == "position" and message.data is not None:
            await response.write(f"event: position\ndata: {json.dumps(message.data)}\n\n".encode())
        elif message.run == run_id and message.id is not None:
            return True


def _written(event: Milestone) -> bytes:
    data = EventModel.of(event).model_dump_json()
    return f"id: {event.id}\nevent: {event.name}\ndata: {data}\n\n".encode()
