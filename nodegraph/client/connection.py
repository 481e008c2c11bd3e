"""Requests that are made again until they are answered, for as long as there is patience."""

import asyncio
import json
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from nodegraph.client.errors import ClientError, UnavailableError, UnreachableError, refusal
from nodegraph.errors import shown
from nodegraph.plain import is_object

SILENCE = 45.0
"""Seconds without a byte after which a stream counts as broken; servers say something every 15."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
BROKEN = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
"""What is raised where a connection breaks, or never comes about."""
_NO_CONTENT, _REFUSED = 204, 300
_SCHEMES = ("http", "https")
_VISIBLE = re.compile("[!-~]+")


class Patience:
    """Pauses between tries, longer each time; ends when nothing worked for long enough.

    Args:
        url: of the server.
        seconds: for how long.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        """Something worked."""
        self.extend()
        self._pause = FIRST_PAUSE

    def extend(self) -> None:
        """The server is there, if nothing else."""
        self._end = time.monotonic() + self._seconds

    async def wait(self, reason: BaseException) -> None:
        """Wait a little before the next try.

        Raises:
            UnreachableError: it was tried for long enough.
            UnavailableError: the same, and the server does answer.
        """
        pause = self._pause * random.uniform(0.5, 1.0)
        if time.monotonic() + pause >= self._end:
            if isinstance(reason, UnavailableError):
                raise reason
            said = str(reason) or type(reason).__name__
            raise UnreachableError(self._url, said) from reason
        await asyncio.sleep(pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whole."""

    status: int
    data: bytes
    value: Any = None
    """The JSON in it, if it is that."""

    @property
    def told(self) -> dict[str, Any]:
        """The JSON object in it.

        Raises:
            ClientError: there is none, so whatever answers is no nodegraph server.
        """
        if not is_object(self.value):
            message = "what answers there is no nodegraph server."
            raise ClientError(message, hint="Is the URL right?")
        return self.value


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked."""

    method: str
    path: str
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    form: Callable[[], aiohttp.FormData] | None = None
    """Makes the body, once for each try."""
    again: bool = True
    """Whether it can be asked twice."""


class Connection:
    """The way to a server.

    Args:
        url: where it is.
        token: what it wants to know, if anything.
        timeout: seconds that an answer may take.
        patience: seconds for which it is tried again.

    Raises:
        ClientError: that is no URL, or no token.
    """

    def __init__(self, url: str, token: str, timeout: float, patience: float) -> None:
        _check_url(url)
        if token:
            check_visible("token", token)
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._patience = patience
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """Made at the first use, for it needs the event loop."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(headers=self._headers)
        return self._session

    async def close(self) -> None:
        """Let go of all connections."""
        if self._session is not None:
            await self._session.close()

    def patience(self) -> Patience:
        """A new lot of it."""
        return Patience(self.url, self._patience)

    async def ask(self, request: Request) -> Reply:
        """One request, made again where the connection breaks or the server is not up.

        Raises:
            RefusedError: the server said no.
            UnreachableError: there is no server.
        """
        patience = self.patience()
        while True:
            try:
                return await self._ask(request)
            except (*BROKEN, UnavailableError) as error:
                if not request.again:
                    if isinstance(error, UnavailableError):
                        raise
                    raise UnreachableError(self.url, str(error)) from error
                await patience.wait(error)

    async def stream(
        self, path: str, after: int, query: Mapping[str, str] | None = None
    ) -> aiohttp.ClientResponse | None:
        """The events of a run, for the caller to read and close; None if there are no more.

        Raises:
            RefusedError: the server said no.
        """
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE, sock_read=SILENCE)
        answer = await self.session.get(
            self.url + path, params=query, headers=headers, timeout=timeout, allow_redirects=False
        )
        if answer.status == _NO_CONTENT:
            answer.release()
            return None
        if answer.status >= _REFUSED:
            async with answer:
                raise refusal(answer.status, _parsed(answer, await answer.read()))
        return answer

    async def _ask(self, request: Request) -> Reply:
        form = request.form() if request.form else None
        async with self.session.request(
            request.method,
            self.url + request.path,
            json=request.json,
            data=form,
            headers=request.headers,
            timeout=self._timeout,
            allow_redirects=False,  # nobody else is told the token
        ) as answer:
            data = await answer.read()
            value = _parsed(answer, data)
        if answer.status >= _REFUSED:
            raise refusal(answer.status, value)
        return Reply(answer.status, data, value)


def check_visible(what: str, text: str) -> None:
    """Make sure that a header can carry a text.

    Raises:
        ClientError: it cannot.
    """
    if not _VISIBLE.fullmatch(text):
        message = f"the {what} has to be visible ASCII characters without spaces."
        raise ClientError(message)


def _check_url(text: str) -> None:
    try:
        url = URL(text)
        usable = url.scheme in _SCHEMES and url.raw_host and url.port
    except ValueError:
        usable = False
    if not usable:
        message = f"{shown(text)} is no http or https URL."
        raise ClientError(message, hint="A server's URL looks like http://127.0.0.1:8188.")


def _parsed(answer: aiohttp.ClientResponse, data: bytes) -> Any:
    if not answer.content_type.endswith("json"):
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
