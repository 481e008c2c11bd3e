"""Sends webhooks, and again until they are delivered; waiting ones survive a restart."""

import asyncio
import logging
import time
from contextlib import suppress

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from server.errors import ServerError, StorageError
from server.store.changes import now_ms
from server.store.deliveries import Deliveries, Delivery
from server.webhooks.resolver import CheckedResolver
from server.webhooks.signing import Signer
from server.webhooks.targets import Targets

_log = logging.getLogger(__name__)

PAUSES = (1, 5, 30, 120, 600, 3600, 4 * 3600, 12 * 3600)
"""Seconds to wait after each failed attempt; after one more failure the message is given up."""
_AT_ONCE = 32
_TIMEOUT = 10.0
_CLAIM = 30.0
"""Seconds after which another server may send a message that this one began to send."""
_LONGEST_SLEEP = 60.0
_GONE = 410


class Webhooks:
    """Sends a message to another server when a run is over.

    Args:
        deliveries: the messages that wait.
        targets: the allowed hosts.
        signer: signs the messages.
        shared: True if other servers send the same messages; then each is claimed first.
    """

    def __init__(
        self, deliveries: Deliveries, targets: Targets, signer: Signer, *, shared: bool = False
    ) -> None:
        self._shared = shared
        self.targets = targets
        self._deliveries = deliveries
        self._signer = signer
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start sending."""
        self._loop = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop at once; the next server sends what is not delivered."""
        tasks = [task for task in (self._loop, *self._sending.values()) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        connector = TCPConnector(
            resolver=CheckedResolver(self.targets), use_dns_cache=False, force_close=True
        )
        timeout = ClientTimeout(total=_TIMEOUT)
        async with ClientSession(connector=connector, timeout=timeout) as session:
            while True:
                self._deliveries.changed.clear()
                try:
                    pause = await self._begin(session)
                except ServerError as error:
                    _log.error("%s", error)
                    pause = PAUSES[0]
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._deliveries.changed.wait()

    async def _begin(self, session: ClientSession) -> float:
        """Start sending what is due, and return the seconds until the next message is due."""
        waiting = await self._deliveries.next_due(_AT_ONCE)
        now = now_ms()
        for delivery in waiting:
            # A time too far ahead is due as well: the clock was set back.
            due = not now < delivery.due_ms <= now + PAUSES[-1] * 1000
            if due and delivery.id not in self._sending and len(self._sending) < _AT_ONCE:
                self._sending[delivery.id] = asyncio.create_task(self._send(session, delivery))
        later = [one.due_ms - now for one in waiting if one.id not in self._sending]
        return min(max(min(later, default=0), 0) / 1000 or _LONGEST_SLEEP, _LONGEST_SLEEP)

    async def _send(self, session: ClientSession, delivery: Delivery) -> None:
        try:
            until = now_ms() + int(_CLAIM * 1000)
            if self._shared and not await self._deliveries.claim(delivery, until):
                return
            reason, final = await self._deliver(session, delivery)
            await self._settle(delivery, reason, final=final)
        except StorageError as error:
            _log.error("%s", error)
            await asyncio.sleep(PAUSES[0])
        finally:
            del self._sending[delivery.id]
            self._deliveries.changed.set()

    async def _deliver(self, session: ClientSession, delivery: Delivery) -> tuple[str, bool]:
        """Send a message once; return the reason of a failure, and True if no retry would help."""
        body = delivery.body.encode()
        headers = self._signer.headers(delivery.id, int(time.time()), body)
        headers |= {"Content-Type": "application/json", "User-Agent": "nodegraph"}
        try:
            url = self.targets.check(delivery.url)
            async with session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as reply:
                taken = 200 <= reply.status < 300
                return "" if taken else f"it answered {reply.status}", reply.status == _GONE
        except ServerError as error:
            return error.message, True
        except (ClientError, OSError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}", False

    async def _settle(self, delivery: Delivery, reason: str, *, final: bool) -> None:
        if reason:
            _log.warning("webhook of run %s to %s: %s", delivery.run, delivery.url, reason)
        if not reason or final or delivery.failures >= len(PAUSES):
            await self._deliveries.remove(delivery.id)
        else:
            pause = PAUSES[delivery.failures]
            await self._deliveries.postpone(delivery.id, now_ms() + pause * 1000)
