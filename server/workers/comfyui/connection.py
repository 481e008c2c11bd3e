"""Requests to one ComfyUI server: bounded, without redirects, and to its address alone."""

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import IO, Any, Literal
from urllib.parse import quote

from aiohttp import (
    ClientConnectionError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    DummyCookieJar,
    FormData,
    TraceConfig,
    TraceRequestRedirectParams,
    WSServerHandshakeError,
)
from yarl import URL

from nodegraph.graph.json_values import is_list, is_object
from server.workers.comfyui.addresses import ServerAddress
from server.workers.comfyui.errors import ComfyAnswerError

MOST_JSON = 64 * 2**20
"""The most bytes of a JSON answer."""
MOST_FRAME = 64 * 2**20
"""The most bytes of a WebSocket message."""
_CHUNK = 2**18
_TIMEOUT = ClientTimeout(total=300.0, sock_connect=10.0, sock_read=120.0)
"""Generous: a ComfyUI server answers nothing while it loads a model or imports packs."""
MOST_FETCHED = 32 * 2**20
"""The most bytes of an answer for a script, and of a script."""
_QUICK = ClientTimeout(total=60.0, sock_connect=10.0)
"""For browsers, which wait."""
_FILES = ClientTimeout(total=None, sock_connect=10.0, sock_read=120.0)
_HEARTBEAT = 60.0
_SPACE = re.compile(r"[ \t\n\r]*")
_EMPTY = re.compile(r"\{\s*\}")
_EXPECTED = "an object of names and values"
_OK, _REDIRECT, _BAD, _TOO_LARGE, _FAILED = 200, 300, 400, 413, 500
_DENIED, _GATEWAY = (401, 403), (502, 503, 504)


class UnwellError(ClientConnectionError):
    """The server, or a proxy before it, can not answer now: a status of 500 or more."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer to a request that a script of a pack made."""

    status: int
    media_type: str
    """Without parameters, in lower case."""
    data: bytes


Standing = Literal["running", "pending", ""]
"""The state of a prompt in a server's queue; empty if it is not there."""


class ComfyConnection:
    """The requests to a server; any of them may raise aiohttp's errors, or TimeoutError.

    Args:
        address: the server.
        client: our client id there, which its messages are for.
    """

    def __init__(self, address: ServerAddress, client: str) -> None:
        self.name = address.name
        self.client = client
        self.is_local = address.is_local
        self._address = address
        self._session: ClientSession | None = None

    async def close(self) -> None:
        """End all requests."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def connect(self) -> ClientWebSocketResponse:
        """Open the WebSocket, and tell the server which previews we can read."""
        try:
            socket = await self._open().ws_connect(
                self._url(f"/ws?clientId={self.client}"),
                heartbeat=_HEARTBEAT,
                max_msg_size=MOST_FRAME,
            )
        except WSServerHandshakeError as error:
            raise self._error_of(error.status, "GET /ws") from error
        await socket.send_json(
            {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
        )
        return socket

    async def object_info(self, known: bytes = b"") -> tuple[bytes, object] | None:
        """Return the digest and the descriptions of all node types; None if the digest is known.

        They are many megabytes, which seldom change.
        """
        path = "/object_info"
        async with self._open().get(
            self._url(path), allow_redirects=False, timeout=_TIMEOUT
        ) as answer:
            request = f"GET {path}"
            if answer.status != _OK:
                raise self._error_of(answer.status, request)
            data = await self._read_bytes(answer, request, MOST_JSON)
        digest = (await asyncio.to_thread(hashlib.sha256, data)).digest()
        return None if digest == known else (digest, await self._parse(data, request))

    async def extensions(self) -> object:
        """Return the paths of the scripts of its packs."""
        return await self._get("/extensions")

    async def fetch(self, path: str) -> Fetched:
        """Return the answer to GET, whatever its status is.

        Args:
            path: with the query; encoded as it is sent.

        Raises:
            ComfyAnswerError: it is a redirect, or too long.
        """
        request = f"GET {path.partition('?')[0]}"
        url = URL(self._url(path), encoded=True)
        async with self._open().get(url, allow_redirects=False, timeout=_QUICK) as answer:
            if _REDIRECT <= answer.status < _BAD:
                raise self._error_of(answer.status, request)
            data = await self._read_bytes(answer, request, MOST_FETCHED)
            return Fetched(answer.status, answer.content_type.lower(), bytes(data))

    async def history(self, prompt: str) -> Mapping[str, Any] | None:
        """Return the entry of a finished prompt; None if there is none."""
        found = await self._get(f"/history/{quote(prompt, safe='')}")
        entry = found.get(prompt) if is_object(found) else None
        return entry if is_object(entry) else None

    async def standing(self, prompt: str) -> Standing:
        """Return the state of a prompt in the queue, in which others may have theirs."""
        found = await self._get("/queue")
        queue = found if is_object(found) else {}
        if prompt in _ids(queue.get("queue_running")):
            return "running"
        return "pending" if prompt in _ids(queue.get("queue_pending")) else ""

    async def submit(self, body: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        """Queue a prompt; return the status, 200 or 400, and the answer."""
        async with self._open().post(
            self._url("/prompt"), json=body, allow_redirects=False, timeout=_TIMEOUT
        ) as answer:
            if answer.status not in (_OK, _BAD):
                raise self._error_of(answer.status, "POST /prompt")
            found = await self._read(answer, "POST /prompt")
        named = found.get("prompt_id") if is_object(found) else None
        if not is_object(found) or (
            answer.status == _OK and not (named and isinstance(named, str))
        ):
            raise ComfyAnswerError(self.name, "POST /prompt", "named no prompt")
        return answer.status, found

    async def upload(self, file: IO[bytes], name: str, subfolder: str) -> str:
        """Upload a file to the input folder; return the name that workflows use for it."""
        form = FormData()
        form.add_field("image", file, filename=name, content_type="application/octet-stream")
        for key, value in (("type", "input"), ("subfolder", subfolder)):
            form.add_field(key, value)
        async with self._open().post(
            self._url("/upload/image"), data=form, allow_redirects=False, timeout=_FILES
        ) as answer:
            if answer.status != _OK:
                raise self._error_of(answer.status, "POST /upload/image")
            found = await self._read(answer, "POST /upload/image")
        given = found.get("name") if is_object(found) else None
        folder = found.get("subfolder") if is_object(found) else None
        if not isinstance(given, str) or not given:
            raise ComfyAnswerError(self.name, "POST /upload/image", "named no file")
        return f"{folder}/{given}" if isinstance(folder, str) and folder else given

    async def download(self, where: Mapping[str, str], into: IO[bytes], most: int) -> bool:
        """Write a file of the server's folders; return False if it has more than `most` bytes."""
        async with self._open().get(
            self._url("/view"), params=where, allow_redirects=False, timeout=_FILES
        ) as answer:
            if answer.status != _OK:
                raise self._error_of(answer.status, "GET /view")
            left = most
            async for chunk in answer.content.iter_chunked(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    return False
                into.write(chunk)
        return True

    async def stop(self, prompt: str) -> None:
        """Take a prompt out of the queue, or interrupt it if it is the one that runs."""
        await self._post("/queue", {"delete": [prompt]})
        if await self.standing(prompt) == "running":
            await self._post("/interrupt", {"prompt_id": prompt})

    async def free(self) -> None:
        """Have the server unload its models and clear its cache."""
        await self._post("/free", {"unload_models": True, "free_memory": True})

    async def _get(self, path: str) -> object:
        async with self._open().get(
            self._url(path), allow_redirects=False, timeout=_TIMEOUT
        ) as answer:
            request = f"GET {path.partition('?')[0]}"
            if answer.status != _OK:
                raise self._error_of(answer.status, request)
            return await self._read(answer, request)

    async def _post(self, path: str, body: Mapping[str, Any]) -> None:
        async with self._open().post(
            self._url(path), json=body, allow_redirects=False, timeout=_TIMEOUT
        ) as answer:
            if answer.status != _OK:
                raise self._error_of(answer.status, f"POST {path}")

    async def _read_bytes(self, answer: ClientResponse, request: str, most: int) -> bytearray:
        data = bytearray()
        async for chunk in answer.content.iter_chunked(_CHUNK):
            data += chunk
            if len(data) > most:
                problem = f"has more than {most >> 20} MiB"
                raise ComfyAnswerError(self.name, request, problem)
        return data

    async def _read(self, answer: ClientResponse, request: str) -> object:
        return await self._parse(await self._read_bytes(answer, request, MOST_JSON), request)

    async def _parse(self, data: bytearray, request: str) -> object:
        try:
            return await asyncio.to_thread(_parse_in_parts, data)
        except (ValueError, RecursionError) as error:
            raise ComfyAnswerError(self.name, request, "is not JSON") from error

    def _error_of(self, status: int, request: str) -> Exception:
        """Return the error of an answer.

        Those that may be other ones soon are `UnwellError`: a proxy's that finds no server, and
        failures of GET. A failure of POST may be that of what was sent.
        """
        problem, hint = f"was answered with status {status}", ""
        if status in _GATEWAY or (status >= _FAILED and request.startswith("GET ")):
            return UnwellError(f"{request} {problem}")
        if status in _DENIED:
            hint = "If it wants a token, set it in comfyui_headers."
        elif status == _TOO_LARGE:
            hint = "It takes no more at once, or a proxy before it: see its --max-upload-size."
        elif _REDIRECT <= status < _BAD:
            hint = "Redirects are not followed: name the address that it leads to."
        return ComfyAnswerError(self.name, request, problem, hint)

    def _url(self, path: str) -> str:
        return f"{str(self._address.url).rstrip('/')}{path}"

    def _open(self) -> ClientSession:
        if self._session is None:
            trace = TraceConfig()
            trace.on_request_redirect.append(self._refuse_redirect)
            self._session = ClientSession(
                headers=self._address.headers,
                cookie_jar=DummyCookieJar(),
                trust_env=False,
                trace_configs=[trace],
            )
        return self._session

    async def _refuse_redirect(
        self, _session: ClientSession, _context: SimpleNamespace, params: TraceRequestRedirectParams
    ) -> None:
        """Refuse a redirect, which aiohttp would follow when it opens a WebSocket."""
        params.response.close()
        raise self._error_of(params.response.status, f"{params.method} {params.url.path}")


def _parse_in_parts(data: bytearray) -> object:
    """Parse JSON; of an object one value after the other, between which other threads go on.

    Raises:
        ValueError: it is no JSON.
    """
    text = data.decode("utf-8-sig")
    decode, place = json.JSONDecoder().raw_decode, _skip(text, 0)
    if text[place : place + 1] != "{" or _EMPTY.match(text, place):
        return json.loads(text)
    found: dict[str, object] = {}
    end = ","
    while end == ",":
        key, place = decode(text, _skip(text, place + 1))
        place = _skip(text, place)
        if not isinstance(key, str) or text[place : place + 1] != ":":
            raise json.JSONDecodeError(_EXPECTED, text, place)
        found[key], place = decode(text, _skip(text, place + 1))
        place = _skip(text, place)
        end = text[place : place + 1]
    if end != "}" or _skip(text, place + 1) != len(text):
        raise json.JSONDecodeError(_EXPECTED, text, place)
    return found


def _skip(text: str, place: int) -> int:
    """Return the place after the white space that begins at a place."""
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _ids(items: object) -> set[object]:
    """Return the prompts' ids of a part of the queue: `[[number, id, …], …]`."""
    rows = items if is_list(items) else []
    return {row[1] for row in rows if is_list(row) and len(row) > 1 and isinstance(row[1], str)}
