"""`/v1/runs/{run}/events`: the events of a run, as pages or live (server-sent events)."""

import asyncio
import base64
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from aiohttp import web
from pydantic_core import to_json

from server.api.v1.handlers.parsing import headers_of, query_of, reply
from server.api.v1.handlers.submit import run_of
from server.api.v1.schema.models import EventModel, EventPage
from server.api.v1.schema.requests import LARGEST_PAGE, EventHeaders, EventsQuery
from server.scheduling.event_bus import Message, Subscriber
from server.store.runs import Milestone, Run
from server.web.services import Services, services

STREAM = "text/event-stream"
_KEEP_ALIVE = 15.0
"""Seconds of silence after which an empty line is sent, so that proxies keep the connection."""
_LIVE_ONLY = ("progress", "progress_text", "position")
"""Events that are sent live only, and not again after a reconnection."""
_PREVIEW = "preview"


async def list_events(request: web.Request) -> web.StreamResponse:
    """List the events of a run, in order.

    With `Accept: text/event-stream` they are sent live, and the stream ends with the run. After
    a disconnection it continues from `Last-Event-ID`; 204 means that there are no more events.
    Progress, and previews if they are asked for, have no ids and are not sent again. Without
    that header, the reply is a page of events.
    """
    parts = services(request)
    query = query_of(request, EventsQuery)
    last = headers_of(request, EventHeaders).last
    run = await run_of(request)
    if STREAM in request.headers.get("Accept", ""):
        after = query.after if last is None else last
        names = (*_LIVE_ONLY, _PREVIEW) if query.previews else _LIVE_ONLY
        return await _stream(request, parts, run, after, names)
    found = await parts.store.events(run.id, after=query.after, limit=query.limit)
    last_id = found[-1].id if found else query.after
    return reply(
        EventPage(events=[EventModel.from_milestone(event) for event in found], last_id=last_id)
    )


async def _stream(
    request: web.Request, parts: Services, run: Run, after: int, live_only: Collection[str]
) -> web.StreamResponse:
    if run.is_over and not await parts.store.events(run.id, after=after, limit=1):
        return web.Response(status=204)
    response = web.StreamResponse(
        headers={"Content-Type": STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    subscriber = parts.bus.subscribe(run=run.id)
    try:
        with suppress(ConnectionError):
            await response.prepare(request)
            await _Stream(response, parts, run.id, subscriber, live_only).send_after(after)
    finally:
        parts.bus.unsubscribe(subscriber)
    return response


class _Stream:
    """A stream of the events of one run to one client."""

    def __init__(
        self,
        response: web.StreamResponse,
        parts: Services,
        run: str,
        subscriber: Subscriber,
        live_only: Collection[str],
    ) -> None:
        self._response = response
        self._store = parts.store
        self._run = run
        self._subscriber = subscriber
        self._live_only = live_only
        self._heard: int | None = None
        """The id of the last milestone from the bus; None before the first one."""

    async def send_after(self, after: int) -> None:
        """Send the stored events, and new ones whenever there are any, until the run is over.

        Every event with an id comes from the store, so that none is missed or sent twice; the
        bus only signals that there are new ones.
        """
        while True:
            run = await self._store.find(self._run)
            events = await self._store.events(self._run, after=after, limit=LARGEST_PAGE)
            for event in events:
                await self._response.write(_milestone_frame(event))
                after = event.id
            if len(events) == LARGEST_PAGE:
                continue
            if self._heard is None:
                self._heard = after
            if run is None or run.is_over or not await self._wait_for_event(after):
                return

    async def _wait_for_event(self, sent: int) -> bool:
        """Wait for a new event; return False if there will be none.

        Progress and previews from before the last milestone that was sent are dropped.
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
            if message.id is not None or self._subscriber.take_missed():
                self._heard = message.id
                return True
            if message.name in self._live_only and (self._heard is None or self._heard >= sent):
                await self._response.write(_sse_frame(message.name, _event_data(message)))


def _event_data(message: Message) -> Mapping[str, Any]:
    """Return the data of a message, with the image of a preview as base64."""
    data = message.data or {}
    if message.name != _PREVIEW:
        return data
    return {**data, "image": base64.b64encode(message.payload).decode()}


def _milestone_frame(event: Milestone) -> bytes:
    data = EventModel.from_milestone(event).model_dump()
    return f"id: {event.id}\n".encode() + _sse_frame(event.name, data)


def _sse_frame(name: str, data: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: ".encode() + to_json(data) + b"\n\n"
