"""Who says under which number a file is saved: the folder itself, or somebody who remembers."""

from pathlib import Path
from typing import NamedTuple, Protocol


class Owner(NamedTuple):
    """Whose file it is."""

    run_id: str
    node_id: str


class Place(NamedTuple):
    """Where a numbered file goes, but for its number."""

    folder: Path
    stem: str
    suffix: str

    def name(self, number: int) -> str:
        """The file's name."""
        return f"{self.stem}_{number:05}_{self.suffix}"

    def named(self, number: int, *, again: bool = False) -> "Named":
        """The file of that number."""
        return Named(self.folder / self.name(number), number, again)


class Named(NamedTuple):
    """A file's name."""

    path: Path
    number: int
    again: bool
    """Whether an earlier attempt at the same run got it too, and may have written the file."""


class Claim(Protocol):
    """One file's number."""

    def claim(self, place: Place, first: int) -> Named:
        """The name: with the number `first`, or above it; or the one that it had before."""
        ...

    def release(self) -> None:
        """The number can not be had: somebody else has a file there."""
        ...


class Naming(Protocol):
    """Remembers numbers, so that a run that is tried again gives its files the same names."""

    def next_file(self, owner: Owner) -> Claim:
        """The next file that a node saves."""
        ...
