"""The memory of a run: keeps what is the same at every step, up to a number of bytes."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor

from nodegraph.runtime.devices import free_bytes

MOST_BYTES = 256 << 20
"""The most that a run keeps on its device."""
FREE_SHARE = 8
"""It keeps no more than one part of so many of what is free there."""

H = TypeVar("H")
T = TypeVar("T", bound=Tensor | Sequence[Tensor] | Mapping[str, tuple[Tensor, ...]])


class RunMemory:
    """Values that do not depend on the latent, of one run of a sampler; not thread-safe.

    Args:
        device: where the values are; the default device if None.
        most: bytes. From the first value on that goes beyond them, or beyond an eighth of what is
            free on the device when the first value is kept, nothing more is kept.
        sigmas: [steps + 1], the noise levels of the run's steps; None outside of runs.
    """

    def __init__(
        self,
        device: torch.device | None = None,
        most: int = MOST_BYTES,
        sigmas: Tensor | None = None,
    ) -> None:
        self.sigmas = sigmas
        self._device = device
        self._most = most
        self._left: int | None = None
        self._kept: dict[Hashable, tuple[tuple[object, ...], object]] = {}

    def recall(self, name: Hashable, sources: Sequence[object], make: Callable[[], T]) -> T:
        """Return a value that is made of some objects, made anew only if it was not kept.

        Args:
            name: equal for values that are made in the same way.
            sources: what it is made of; told apart by identity, never by content.
            make: makes it.
        """
        key = (name, *map(id, sources))
        found = self._kept.get(key)
        if found is not None:
            return cast("T", found[1])  # what is made by this name
        made = make()
        if self.take(_nbytes(made)):
            self._kept[key] = tuple(sources), made  # which live as long: no other has their id
        return made

    def hold(self, name: Hashable, sources: Sequence[object], make: Callable[[], H]) -> H | None:
        """Return an object as `recall` does that sees to its own bytes; None outside of runs."""
        if not self._most:
            return None
        key = (name, *map(id, sources))
        if key not in self._kept:
            self._kept[key] = tuple(sources), make()
        return cast("H", self._kept[key][1])

    def take(self, nbytes: int) -> bool:
        """Return True if so many more bytes may be kept, which then count."""
        if self.room < nbytes:
            self._left = 0
            return False
        self._left = self.room - nbytes
        return True

    def give_back(self, nbytes: int) -> None:
        """Let others be kept in place of so many bytes."""
        self._left = self.room + nbytes

    @property
    def room(self) -> int:
        """The bytes that may still be kept."""
        if self._left is None:
            self._left = min(
                self._most, free_bytes(self._device) // FREE_SHARE if self._most else 0
            )
        return self._left


def _nbytes(value: Tensor | Sequence[Tensor] | Mapping[str, tuple[Tensor, ...]]) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.itemsize
    parts = value.values() if isinstance(value, Mapping) else value
    return sum(_nbytes(part) for part in parts)
