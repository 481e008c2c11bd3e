"""Layers whose weights are kept in fewer bits than the network computes in."""

from collections.abc import Iterator
from typing import cast

from torch import Tensor, nn
from torch.nn import functional


class CastLinear(nn.Linear):
    """Casts its weight to what comes in, each time."""

    def forward(self, input: Tensor) -> Tensor:
        """As the base class."""
        return functional.linear(input, self.weight.to(input), self.bias)


class CastConv2d(nn.Conv2d):
    """The same for a convolution with zeros around the picture."""

    def forward(self, input: Tensor) -> Tensor:
        """As the base class."""
        return self._conv_forward(input, self.weight.to(input), self.bias)


_CASTING: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: CastLinear,
    nn.Conv2d: CastConv2d,
}


def cast_at_use(network: nn.Module) -> frozenset[str]:
    """Let a new network's linear and convolutional layers cast their weights when called.

    Returns:
        The keys of those weights.
    """
    return frozenset(f"{name}.weight" for name in _switched(network))


def _switched(network: nn.Module) -> Iterator[str]:
    layers = cast("Iterator[tuple[str, nn.Module]]", network.named_modules())
    for name, layer in layers:
        kind = _CASTING.get(type(layer))
        if kind is not None:
            layer.__class__ = kind
            yield name
