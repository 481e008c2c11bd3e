"""Units whose weights lie on the host, each in one buffer, as they are stored."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nodegraph.runtime.devices import pinned_bytes
from nodes.models.residency.layout import Layout, as_parameter

_CHUNK = 64 << 20
"""Bytes that are pinned at once, at most, for buffers that are smaller."""
_CHUNKS = 16
"""The least number of chunks for small buffers: one is not free before all its buffers are."""
_BUFFERS = 4
"""The number of large buffers in one chunk."""


class HostArena:
    """Buffers in the machine's memory, pinned if the device can pin.

    Torch rounds pinned memory up to a power of two, so that a buffer by itself could take twice
    its size: several share such a power instead, which is free when all of them are.

    Args:
        nbytes: of all buffers that will be taken.
        device: that the bytes go to.
    """

    def __init__(self, nbytes: int, device: torch.device) -> None:
        self._device = device
        self._expected = nbytes
        self._most = min(_CHUNK, nbytes // _CHUNKS)
        self._chunks: list[Tensor] = []
        """The free end of each chunk."""

    def take(self, nbytes: int) -> Tensor:
        """Return a new buffer, [nbytes] uint8."""
        fits = (number for number, chunk in enumerate(self._chunks) if len(chunk) >= nbytes)
        number = next(fits, None)
        if number is None:
            number = len(self._chunks)
            self._chunks.append(pinned_bytes(self._chunk(nbytes), self._device))
        chunk = self._chunks[number]
        self._expected -= nbytes
        self._chunks[number] = chunk[nbytes:]
        return chunk[:nbytes]

    def _chunk(self, nbytes: int) -> int:
        """Return the size of a new chunk for a buffer and some of those after it."""
        wanted = min(max(_BUFFERS * nbytes, self._most), self._expected)
        rounded = 1 << (wanted.bit_length() - 1) if wanted > 0 else 0
        return max(rounded, nbytes)


class ParkedUnit:
    """The weights of a unit on the host; never changed.

    Args:
        weights: of the unit, on any device.
        arena: to lie in.
    """

    def __init__(self, weights: Mapping[str, Tensor], arena: HostArena) -> None:
        self._layout = Layout(weights)
        self.buffer = arena.take(self._layout.nbytes)
        for offset, data in self._layout.pieces(weights):
            self.buffer[offset : offset + len(data)].copy_(data)
        self.weights: Mapping[str, Tensor] = self._layout.views(self.buffer)
        """By key, where they lie on the host."""
        self.empty = self._layout.empty()
        """By key, what modules hold in their place while they are not on the device."""

    def parameters(self, buffer: Tensor) -> dict[str, nn.Parameter]:
        """Return the weights in a buffer that has the same bytes, as modules hold them."""
        return {key: as_parameter(each) for key, each in self._layout.views(buffer).items()}

    def holds(self, weights: Mapping[str, Tensor]) -> bool:
        """Return True if these are its own weights."""
        return self.weights.keys() <= weights.keys() and all(
            weights[key] is weight for key, weight in self.weights.items()
        )
