"""The numbers of saved files: the next free one, or the one from an earlier attempt at the run."""

from pathlib import Path
from typing import NamedTuple, Protocol


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
