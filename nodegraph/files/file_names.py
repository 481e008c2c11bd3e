"""The numbers of saved files: the next free one, or the one from an earlier attempt at the run."""

import threading
from pathlib import Path
from typing import NamedTuple, Protocol

MOST_SERIES = 1000
"""The most series whose last numbers are remembered."""


class SaveSlot(NamedTuple):
    """The node of a run that saves files."""

    run_id: str
    node_id: str


class FileSeries(NamedTuple):
    """A series of numbered files: `folder/stem_00001_suffix` and so on."""

    folder: Path
    stem: str
    suffix: str

    def name(self, number: int) -> str:
        """Return the name of the file with that number."""
        return f"{self.stem}_{number:05}_{self.suffix}"

    def file(self, number: int, *, again: bool = False) -> "NumberedFile":
        """Return the file with that number."""
        return NumberedFile(self.folder / self.name(number), number, again)


class LastNumbers:
    """The last number that this process gave a file of each series; any thread may ask."""

    def __init__(self) -> None:
        self._numbers: dict[FileSeries, int] = {}
        self._lock = threading.Lock()

    def get(self, place: FileSeries) -> int | None:
        """Return the last number of a series; None if it is not known."""
        return self._numbers.get(place)

    def raise_to(self, place: FileSeries, number: int) -> None:
        """Note that a series has numbers up to this one."""
        with self._lock:
            self._numbers[place] = max(number, self._numbers.get(place, 0))
            while len(self._numbers) > MOST_SERIES:
                del self._numbers[next(iter(self._numbers))]

    def next(self, place: FileSeries) -> int:
        """Return the number after the last, which nobody else gets."""
        with self._lock:
            self._numbers[place] = number = self._numbers.get(place, 0) + 1
        return number


class NumberedFile(NamedTuple):
    """A numbered file."""

    path: Path
    number: int
    again: bool
    """True if an earlier attempt at the same run had this number, and may have written the file."""


class Claim(Protocol):
    """A claim to the number of one file."""

    def claim(self, place: FileSeries, first: int) -> NumberedFile:
        """Claim a number from `first` on, or the one that the file had before."""
        ...

    def release(self) -> None:
        """Give the number back, because another file has it."""
        ...


class Naming(Protocol):
    """Remembers numbers, so that another attempt at a run gives its files the same names."""

    def next_file(self, slot: SaveSlot) -> Claim:
        """Return the claim for the next file that a node saves."""
        ...
