"""HTTP requests that are repeated until they are answered, or until patience runs out."""

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
from nodegraph.errors import short_repr
from nodegraph.graph.json_values import is_object

SILENCE = 45.0
"""Seconds without a byte after which a stream counts as broken; servers send one every 15."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
BROKEN = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
"""The errors of a connection that breaks, or can not be made."""
_NO_CONTENT, _REFUSED = 204, 300
_SCHEMES = ("http", "https")
_VISIBLE = re.compile("[!-~]+")


class Patience:
    """The pauses between tries, each longer than the last, until the time is used up.

    Args:
        url: the server's address, for the error.
        seconds: the time after the last success for which tries go on.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        """Start over after a success: full time, shortest pause."""
        self.extend()
        self._pause = FIRST_PAUSE

    def extend(self) -> None:
        """Start the time over, for the server gave a sign of life."""
        self._end = time.monotonic() + self._seconds

    async def wait(self, reason: BaseException) -> None:
        """Wait before the next try.

        Raises:
            UnreachableError: the time is used up.
            UnavailableError: the time is used up, but the server answers.
        """
        pause = self._pause * random.uniform(0.5, 1.0)
        if time.monotonic() + pause >= self._end:
            if isinstance(reason, UnavailableError):
                raise reason
            text = str(reason) or type(reason).__name__
            raise UnreachableError(self._url, text) from reason
        await asyncio.sleep(pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    data: bytes
    value: Any = None
    """The body, if it is JSON; else None."""

    @property
    def json_object(self) -> dict[str, Any]:
        """The JSON object of its body.

        Raises:
            ClientError: there is none, so it is no nodegraph server that answered.
        """
        if not is_object(self.value):
            message = "the answer does not come from a nodegraph server."
            raise ClientError(message, hint="Is the URL right?")
        return self.value


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request."""

    method: str
    path: str
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    form: Callable[[], aiohttp.FormData] | None = None
    """Makes the body, anew for each try."""
    again: bool = True
    """True if it may be sent twice."""


class Connection:
    """The connection to a server.

    Args:
        url: the server's address.
        token: the server's token, if it has one.
        timeout: the most seconds that an answer may take.
        patience: seconds for which requests are repeated.

    Raises:
        ClientError: the URL or the token is malformed.
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
        """The HTTP session, opened at the first use, for it needs the event loop."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(headers=self._headers)
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def patience(self) -> Patience:
        """Return fresh patience, for one request or one stream."""
        return Patience(self.url, self._patience)

    async def ask(self, request: Request) -> Reply:
        """Send a request, and repeat it while the connection breaks or the server is not up.

        Raises:
            RefusedError: the server refused.
            UnreachableError: no server answers.
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
        """Open the stream of a run's events, for the caller to close; None if there are no more.

        Raises:
            RefusedError: the server refused.
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
                raise refusal(answer.status, _parse_json(answer, await answer.read()))
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
            allow_redirects=False,  # the token must not go to another host
        ) as answer:
            data = await answer.read()
            value = _parse_json(answer, data)
        if answer.status >= _REFUSED:
            raise refusal(answer.status, value)
        return Reply(answer.status, data, value)


def check_visible(what: str, text: str) -> None:
    """Check that a header can carry a text.

    Raises:
        ClientError: it can not.
    """
    if not _VISIBLE.fullmatch(text):
        message = f"the {what} must be visible ASCII characters without spaces."
        raise ClientError(message)


def _check_url(text: str) -> None:
    try:
        url = URL(text)
        usable = url.scheme in _SCHEMES and url.raw_host and url.port
    except ValueError:
        usable = False
    if not usable:
        message = f"{short_repr(text)} is not an http or https URL."
        raise ClientError(message, hint="A server's URL looks like http://127.0.0.1:8188.")


def _parse_json(answer: aiohttp.ClientResponse, data: bytes) -> Any:
    if not answer.content_type.endswith("json"):
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
