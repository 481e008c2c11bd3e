"""`/ws`: live messages; a client gets those about its own prompts and about the queue."""

import asyncio
import json
import struct
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import WSMsgType, web

from nodegraph.graph.json_values import is_object
from server.api.comfy.ws_messages import Message as Translated
from server.api.comfy.ws_messages import Translator
from server.scheduling.event_bus import LOG_SUBSCRIPTION, Message, Subscriber
from server.web.request_bodies import parse_number
from server.web.services import Services, services

_HEARTBEAT = 30.0
_SEND_TIMEOUT = 30.0
"""Seconds that sending to a client may take before it is disconnected."""
_PREVIEW, _TEXT, _PREVIEW_WITH_METADATA = 1, 3, 4
"""Kinds of binary messages."""
_FORMATS: Mapping[str, int] = {"image/jpeg": 1, "image/png": 2}
_METADATA, _TEXT_METADATA = "supports_preview_metadata", "supports_progress_text_metadata"
"""Features of clients: they read of which run and node a binary message is."""
_EDITOR = "supports_manager_v4_ui"
"""A feature that only the web editor announces."""
_QUEUED = 1
"""The number of a run's first milestone, being queued, which is no message."""


async def websocket(request: web.Request) -> web.WebSocketResponse:
    """Serve the connection of a client: `?clientId=`, and `?since=` the last event it has seen."""
    socket = web.WebSocketResponse(heartbeat=_HEARTBEAT, max_msg_size=2**20)
    await socket.prepare(request)
    client = request.query.get("clientId") or uuid.uuid4().hex
    await Connection(services(request), socket, client).serve(_since(request))
    return socket


async def get_features(request: web.Request) -> web.Response:
    """Reply with the server's features."""
    return web.json_response(features(services(request)))


def features(parts: Services) -> dict[str, Any]:
    """Return the server's features, for `/features` and the first messages of a connection."""
    return {
        _METADATA: True,
        _TEXT_METADATA: True,
        "max_upload_size": parts.settings.server.max_upload,
    }


def status(remaining: int) -> dict[str, Any]:
    """Return the message data with the number of prompts that wait or run."""
    return {"status": {"exec_info": {"queue_remaining": remaining}}}


class Connection:
    """The connection of one client.

    Args:
        parts: the services for its owner.
        socket: the connection.
        client: the client's id.
    """

    def __init__(self, parts: Services, socket: web.WebSocketResponse, client: str) -> None:
        self._parts = parts
        self._socket = socket
        self._client = client
        self._translators: dict[str, Translator] = {}
        self._flags: Mapping[str, Any] = {}
        self._last = 0
        """The id of the last milestone that was sent."""
        self._first = 0
        """The id of the milestone after which it began to listen."""
        self._wants_logs = False

    async def serve(self, since: int | None) -> None:
        """Send messages until either side ends the connection; missed ones come from the store."""
        subscriber = self._parts.bus.subscribe(client=self._client)
        self._first = await self._parts.store.last_event() if since is None else since
        remaining = self._parts.dispatcher.remaining
        await self._send("status", {**status(remaining), "sid": self._client})
        await self._send("feature_flags", features(self._parts))
        listener = asyncio.create_task(self._listen(subscriber))
        try:
            if since is not None:
                await self._replay()
            while messages := await subscriber.next_batch():
                if subscriber.take_missed():
                    await self._replay()
                await self._send_all(messages)
        except (ConnectionError, TimeoutError):
            await self._socket.close(code=1013, message=b"too slow")
        finally:
            self._parts.bus.unsubscribe(subscriber)
            listener.cancel()
            await self._socket.close()

    async def _listen(self, subscriber: Subscriber) -> None:
        """Receive the client's features, and end the subscription when it disconnects."""
        async for message in self._socket:
            if message.type is WSMsgType.TEXT:
                self._read_flags(message.data)
        subscriber.close()

    def _read_flags(self, text: str) -> None:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return
        if is_object(value) and value.get("type") == "feature_flags":
            flags = value.get("data")
            self._flags = flags if is_object(flags) else {}

    async def _replay(self) -> None:
        """Send the messages that were missed."""
        store = self._parts.store
        while events := await store.events(client=self._client, after=self._last or self._first):
            messages = [
                Message(
                    event.name,
                    run=event.run,
                    client=self._client,
                    id=event.id,
                    sequence=event.sequence,
                    data={**event.data, "time_ms": event.time_ms},
                )
                for event in events
            ]
            await self._send_all(messages)

    async def _send_all(self, messages: Iterable[Message]) -> None:
        async with asyncio.timeout(_SEND_TIMEOUT):
            for message in messages:
                await self._send_message(message)

    async def _send_message(self, message: Message) -> None:
        if message.name == "queue" and message.data is not None:
            await self._send("status", status(message.data["remaining"]))
        elif message.name == "logs":
            await self._send_logs(message)
        elif message.client == self._client and message.name == LOG_SUBSCRIPTION:
            self._wants_logs = bool(message.data and message.data["enabled"])
        elif message.client == self._client and message.run:
            await self._send_own(message)

    async def _send_own(self, message: Message) -> None:
        """Send a message about a run of this client, unless the replay has sent it already.

        The last message of a milestone carries its id, so that a client that reconnects with
        this id misses nothing.
        """
        if message.id is not None:
            if message.id <= self._last:
                return
            self._last = message.id
        if message.name == "preview":
            await self._send_preview(message)
        elif message.name == "progress_text" and message.data:
            await self._send_text(message.run, message.data["shown_as"], message.data["text"])
        elif message.name == "pack_message" and message.data:
            await self._send(message.data["name"], message.data["data"])
        messages = await self._translate(message)
        for place, (name, data) in enumerate(messages, 1):
            await self._send(name, data, message.id if place == len(messages) else None)
        if message.name in ("run_finished", "run_failed", "run_cancelled"):
            self._translators.pop(message.run, None)

    async def _translate(self, message: Message) -> list[Translated]:
        data = message.data or {}
        if message.id is None:
            passing = message.name == "progress"
            return list(Translator(message.run).progress(data)) if passing else []
        translator = self._translators.get(message.run)
        if translator is None:
            translator = self._translators[message.run] = await self._catch_up(message)
        translator.counts_nodes = self._flags.get(_EDITOR) is True
        return list(translator.milestone(message.name, data, data.get("time_ms", 0)))

    async def _catch_up(self, message: Message) -> Translator:
        """Return a translator that knows the events of a run before this milestone."""
        translator = Translator(message.run)
        if (message.sequence or 0) > _QUEUED:
            for event in await self._parts.store.all_events(message.run):
                if event.id < (message.id or 0):
                    list(translator.milestone(event.name, event.data, event.time_ms))
        return translator

    async def _send(self, name: str, data: Mapping[str, Any], number: int | None = None) -> None:
        body: dict[str, Any] = {"type": name, "data": data}
        if number is not None:
            body["seq"] = number
        await self._socket.send_str(json.dumps(body))

    async def _send_logs(self, message: Message) -> None:
        if self._wants_logs:
            await self._send("logs", message.data or {})

    async def _send_preview(self, message: Message) -> None:
        data = message.data or {}
        form = _FORMATS.get(data["mime"])
        if form is None:
            return
        if not self._flags.get(_METADATA):
            head = struct.pack(">II", _PREVIEW, form)
            await self._socket.send_bytes(head + message.payload)
            return
        node, shown_as = data["node_id"], data["shown_as"]
        facts = {
            "node_id": node,
            "prompt_id": message.run,
            "display_node_id": shown_as,
            "parent_node_id": shown_as if shown_as != node else None,
            "real_node_id": shown_as,
            "image_type": data["mime"],
        }
        text = json.dumps(facts).encode()
        head = struct.pack(">II", _PREVIEW_WITH_METADATA, len(text))
        await self._socket.send_bytes(head + text + message.payload)

    async def _send_text(self, run: str, node: str, text: str) -> None:
        """Send an unfinished text: the run for clients that read it, the node, and the text."""
        named = (run, node) if self._flags.get(_TEXT_METADATA) else (node,)
        parts = (name.encode() for name in named)
        head = b"".join(struct.pack(">I", len(part)) + part for part in parts)
        await self._socket.send_bytes(struct.pack(">I", _TEXT) + head + text.encode())


def _since(request: web.Request) -> int | None:
    text = request.query.get("since", "")
    return parse_number(text)
