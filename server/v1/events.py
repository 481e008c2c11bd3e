"""`/v1/runs/{run}/events`: what happened, as pages or as it happens (server-sent events)."""

import asyncio
import base64
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from aiohttp import web
from pydantic_core import to_json

from server.bus import Message, Subscriber
from server.services import Services, services
from server.store.runs import Milestone, Run
from server.v1.models import EventModel, EventPage
from server.v1.reading import headers_of, query_of, reply
from server.v1.requests import LARGEST_PAGE, EventHeaders, EventsQuery
from server.v1.submitting import run_of

STREAM = "text/event-stream"
_KEEP_ALIVE = 15.0
"""Seconds of silence after which something is sent, so that nobody between us gives up."""
_PASSING = ("progress", "position")
"""What is told while it happens, and not again after a break."""
_PREVIEW = "preview"


async def list_events(request: web.Request) -> web.StreamResponse:
    """A run's events, in order.

    With `Accept: text/event-stream` they come as they happen, and the stream ends with the
    run; after a break it goes on from `Last-Event-ID`, and 204 says that nothing is left.
    Progress comes in between without ids, and does not come again; so do previews, where they
    are asked for. Without that header, events come as pages.
    """
    parts = services(request)
    query = query_of(request, EventsQuery)
    last = headers_of(request, EventHeaders).last
    run = await run_of(request)
    if STREAM in request.headers.get("Accept", ""):
        after = query.after if last is None else last
        names = (*_PASSING, _PREVIEW) if query.previews else _PASSING
        return await _stream(request, parts, run, after, names)
    found = await parts.store.events(run.id, after=query.after, limit=query.limit)
    last_id = found[-1].id if found else query.after
    return reply(EventPage(events=[EventModel.of(event) for event in found], last_id=last_id))


async def _stream(
    request: web.Request, parts: Services, run: Run, after: int, passing: Collection[str]
) -> web.StreamResponse:
    if run.ended and not await parts.store.events(run.id, after=after, limit=1):
        return web.Response(status=204)
    response = web.StreamResponse(
        headers={"Content-Type": STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    subscriber = parts.bus.subscribe(run=run.id)
    try:
        with suppress(ConnectionError):
            await response.prepare(request)
            await _Stream(response, parts, run.id, subscriber, passing).send_after(after)
    finally:
        parts.bus.unsubscribe(subscriber)
    return response


class _Stream:
    """One client that listens to one run."""

    def __init__(
        self,
        response: web.StreamResponse,
        parts: Services,
        run: str,
        subscriber: Subscriber,
        passing: Collection[str],
    ) -> None:
        self._response = response
        self._store = parts.store
        self._run = run
        self._subscriber = subscriber
        self._passing = passing
        self._heard: int | None = None
        """The last milestone that the bus told of; None if it may have told of none so far."""

    async def send_after(self, after: int) -> None:
        """Send what is kept, and again whenever something was added, until the run is over.

        Everything with an id comes from the store, so nothing is missed and nothing comes twice;
        the bus only says when to look.
        """
        while True:
            run = await self._store.find(self._run)
            events = await self._store.events(self._run, after=after, limit=LARGEST_PAGE)
            for event in events:
                await self._response.write(_milestone(event))
                after = event.id
            if len(events) == LARGEST_PAGE:
                continue
            if self._heard is None:
                self._heard = after
            if run is None or run.ended or not await self._news(after):
                return

    async def _news(self, sent: int) -> bool:
        """Wait until something was added; False if there will be nothing more.

        What is older than the last milestone that was sent is no news any more.
        """
        while True:
            try:
                async with asyncio.timeout(_KEEP_ALIVE):
                    message = await self._subscriber.next()
            except TimeoutError:
                await self._response.write(b": \n\n")
                continue
            if message is None:
                return False
            if message.id is not None or self._subscriber.missed():
                self._heard = message.id
                return True
            if message.name in self._passing and (self._heard is None or self._heard >= sent):
                await self._response.write(_written(message.name, _told(message)))


def _told(message: Message) -> Mapping[str, Any]:
    """What a message says; the image of a preview goes along."""
    data = message.data or {}
    if message.name != _PREVIEW:
        return data
    return {**data, "image": base64.b64encode(message.payload).decode()}


def _milestone(event: Milestone) -> bytes:
    data = EventModel.of(event).model_dump()
    return f"id: {event.id}\n".encode() + _written(event.name, data)


def _written(name: str, data: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: ".encode() + to_json(data) + b"\n\n"
