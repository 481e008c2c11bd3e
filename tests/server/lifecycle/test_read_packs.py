"""Packs that are described while a server answers: nothing waits once all of them are."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

from server.lifecycle import read_packs


class Reader:
    """Describes this many packs, one every hundredth of a second."""

    def __init__(self, count: int) -> None:
        self.count, self.closed = count, False

    def read(self, sources: object) -> Any:
        for _ in range(self.count):
            time.sleep(0.01)
            yield SimpleNamespace(), None

    def close(self) -> None:
        self.closed = True


async def rounds(reader: Reader) -> int:
    """Return how often packs were added; whoever adds them is slower than whoever reads them."""
    parts: Any = SimpleNamespace(registry=SimpleNamespace(new_packs=lambda: ([], reader)))
    found = 0
    async for _ in read_packs._describe(parts):
        found += 1
        await asyncio.sleep(0.05)
    return found


async def ended(count: int) -> int:
    reader = Reader(count)
    async with asyncio.timeout(10):
        found = await rounds(reader)
    assert reader.closed
    return found


def test_the_end_is_seen_though_it_comes_together_with_the_last_pack():
    assert 1 <= asyncio.run(ended(5)) <= 5


def test_no_packs_are_no_rounds():
    assert asyncio.run(ended(0)) == 0
