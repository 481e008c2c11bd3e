"""Latents whose sides are no multiples of a transformer's patches."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def padded(x: Tensor, patch: int) -> Tensor:
    """Widen [batch, channels, h, w] at the right and the bottom to multiples of `patch`.

    What is added repeats the latent from its other side. Cut the network's answer back to (h, w).
    """
    height, width = x.shape[-2:]
    right, bottom = -width % patch, -height % patch
    return functional.pad(x, (0, right, 0, bottom), mode="circular") if right or bottom else x


def spread(states: Sequence[Tensor], blocks: int, *, cycled: bool = False) -> tuple[Tensor, ...]:
    """Give each of a transformer's blocks one of the states, in their order; none has none.

    Args:
        states: as many as blocks, or fewer.
        blocks: how many there are.
        cycled: begin anew after the last, instead of giving each to several neighbours.
    """
    if not states:
        return ()
    neighbours = -(blocks // -len(states))
    chosen = (n % len(states) if cycled else n // neighbours for n in range(blocks))
    return tuple(states[n] for n in chosen)
