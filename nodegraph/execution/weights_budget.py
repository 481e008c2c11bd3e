"""The memory that weights may take: by the settings, and by what is free when they are needed."""

from typing import Final

from nodegraph.cache.limit import AUTO, device_limit_bytes, memory_bytes

HOST_DIVISOR: Final = 4
"""The divisor of the machine's memory, for networks that compute there."""
PARKED_DIVISOR: Final = 2
"""The divisor of the machine's memory that weights of an accelerator may wait in."""
RESERVE_SHARE: Final = 1 / 16
"""The share of an accelerator's memory that stays free if the reserve is `auto`."""
LARGEST_RESERVE: Final = 1 << 30
"""The most bytes that stay free then."""
UNKNOWN_DIVISOR: Final = 5
"""The divisor of an accelerator's memory that is left to calls of unknown needs."""


def auto_budget() -> int:
    """Return the bytes of weights that stay between runs if the setting is `auto`; imports torch.

    By the default device: what fits there and waits beside it, or a part of the machine's memory.
    """
    from nodegraph.runtime.devices import own_memory_bytes  # torch, which weights need anyhow

    own = own_memory_bytes()
    if own is None:
        return memory_bytes() // HOST_DIVISOR
    return own + memory_bytes() // PARKED_DIVISOR


class AcceleratorMemory:
    """The memory of the default device, asked for at each use; see `DeviceMemory`.

    What other programs and results take there is not free, so two programs on one device do not
    plan with the same bytes.

    Args:
        budget: the most bytes of weights, or a share such as `80%`; `auto` is all there is.
        reserve: bytes to leave free, or a share; `auto` is a sixteenth, and at most 1 GiB.
    """

    def __init__(self, budget: int | str = AUTO, reserve: int | str = AUTO) -> None:
        self._budget = budget
        self._reserve = reserve
        self._own: int | None = None

    @property
    def limit(self) -> int:
        """The most bytes that weights may take."""
        return device_limit_bytes(self._budget, self._own_bytes(), auto=1.0)

    def room(self, held: int, activations: int | None) -> int:
        """Return the bytes that weights may take now, all together."""
        beside = self._own_bytes() // UNKNOWN_DIVISOR if activations is None else activations
        return min(self.limit, self.spare(held) - beside)

    def spare(self, held: int) -> int:
        """Return the bytes that a call may take in place of all weights."""
        from nodegraph.runtime.devices import free_bytes

        return held + free_bytes() - self._reserve_bytes(self._own_bytes())

    def may_park(self, nbytes: int) -> bool:
        """Return True if so many bytes of weights may wait in the machine's memory."""
        return nbytes <= memory_bytes() // PARKED_DIVISOR

    def _reserve_bytes(self, own: int) -> int:
        reserve = device_limit_bytes(self._reserve, own, auto=RESERVE_SHARE)
        return min(reserve, LARGEST_RESERVE) if self._reserve == AUTO else reserve

    def _own_bytes(self) -> int:
        from nodegraph.runtime.devices import own_memory_bytes

        if self._own is None:
            self._own = own_memory_bytes() or 0
        return self._own
