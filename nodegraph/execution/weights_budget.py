"""The bytes of weights that stay in memory between runs if the setting is `auto`."""

from typing import Final

from nodegraph.cache.limit import memory_bytes

DEVICE_SHARE: Final = 0.8
"""The share of an accelerator's memory that weights may fill."""
HOST_DIVISOR: Final = 4
"""The divisor of the machine's memory, for networks that compute there."""


def auto_budget() -> int:
    """Return the bytes, by the memory of the default device; imports torch."""
    from nodegraph.runtime.devices import own_memory_bytes  # torch, which weights need anyhow

    own = own_memory_bytes()
    return memory_bytes() // HOST_DIVISOR if own is None else int(own * DEVICE_SHARE)
