"""Notices between the server processes of a Postgres database: by LISTEN and NOTIFY."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from typing import LiteralString

import psycopg

from server.store.database import Notice
from server.store.postgres.connection import connect_async, reason_of

_log = logging.getLogger(__name__)

CHANGES = "nodegraph"
"""The channel that tells of commits; the payload is the id of the newest event."""
LIVE = "nodegraph_live"
"""The channel of what is not kept."""
_LISTEN: LiteralString = "LISTEN nodegraph; LISTEN nodegraph_live"
_NUMBER = re.compile(r"[0-9]{1,18}")
_PAUSE = 1.0
"""Seconds until a connection that was cut is made again."""


async def notices(url: str) -> AsyncIterator[Notice]:
    """Yield the notices of all processes, this one's too.

    The first one is empty, and so is one after each time that the connection was cut: others may
    have been missed.

    Args:
        url: the database.
    """
    while True:
        try:
            async with await connect_async(url) as connection:
                await connection.execute(_LISTEN)
                yield Notice()
                async for found in connection.notifies():
                    yield _notice(found)
        except psycopg.Error as error:
            _log.warning("no notices from other servers: %s", reason_of(error))
        await asyncio.sleep(_PAUSE)


def _notice(found: psycopg.Notify) -> Notice:
    if found.channel == LIVE:
        return Notice(payload=found.payload)
    return Notice(event=int(found.payload) if _NUMBER.fullmatch(found.payload) else 0)
