"""Keys and values of the part of a sequence that does not depend on the step, kept in a run.

In a transformer with causal attention, tokens before the picture that is made see nothing of it.
If they know nothing of the noise level either, their keys and values are the same at every step.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, cast

import torch
from torch import Tensor, nn

from nodegraph.runtime.devices import free_bytes
from nodes.models.networks.base.call_context import current_memory, spare_bytes
from nodes.models.networks.base.errors import WrongNetworkError

Place: TypeAlias = Literal["auto", "gpu", "cpu", "off"]
"""The memory that they are kept in: `auto` is the device's where it is spare, else the host's."""
Precision: TypeAlias = Literal["default", "int8", "int4"]
"""The precision that they are kept in; `default` is that of the network."""
_BITS = {"int8": 8, "int4": 4}
_GROUP = 32
"""The numbers that share a scale."""
_SCALE_BITS = 16
_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class PrefixPolicy:
    """The memory and the precision that keys and values are kept in."""

    place: Place = "auto"
    precision: Precision = "default"

    def memory_for(self, numbers: int, like: Tensor) -> torch.device | None:
        """Return the device that they fit on; None: they are to be computed at every step.

        Args:
            numbers: of all of them.
            like: a tensor of the network's device and precision.
        """
        bits = _BITS.get(self.precision)
        shared = bits + _SCALE_BITS / _GROUP if bits else like.itemsize * 8
        nbytes = int(numbers * shared / 8)
        if self.place in {"auto", "gpu"} and nbytes <= spare_bytes():
            return like.device
        if self.place in {"auto", "cpu"} and nbytes <= free_bytes(_CPU) // 2:
            return _CPU
        return None


class LayerPrefix:
    """The keys and the values of one layer; diffusers' `QwenImage21KVLayerCache` has its methods.

    Args:
        memory: the device that has them between calls.
        precision: that they are kept in.
    """

    def __init__(self, memory: torch.device, precision: Precision) -> None:
        self._memory = memory
        self._precision: Precision = precision
        self._kept: tuple[_Kept, ...] = ()

    @property
    def is_full(self) -> bool:
        """True once they are kept."""
        return bool(self._kept)

    @property
    def nbytes(self) -> int:
        """The bytes that they take."""
        return sum(each.nbytes for each in self._kept)

    def store(self, k: Tensor, v: Tensor) -> None:
        """Keep keys and values: [batch, tokens, heads, head] each."""
        self._kept = tuple(_keep(each, self._precision, self._memory) for each in (k, v))

    def get(self) -> tuple[Tensor, Tensor]:
        """Return the keys and values, on the device that they were computed on."""
        keys, values = (each.restore() for each in self._kept)
        return keys, values


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """Numbers as they are kept, and where and how they were."""

    numbers: Tensor
    scale: Tensor | None
    shape: torch.Size
    device: torch.device
    dtype: torch.dtype
    precision: Precision

    @property
    def nbytes(self) -> int:
        scale = 0 if self.scale is None else self.scale.nbytes
        return self.numbers.nbytes + scale

    def restore(self) -> Tensor:
        """Return the numbers where and as they were."""
        numbers = self.numbers.to(self.device, non_blocking=True)
        if self.scale is None:
            return numbers
        scale = self.scale.to(self.device, non_blocking=True).to(self.dtype)
        if self.precision == "int4":
            numbers = torch.stack([numbers >> 4, numbers << 4 >> 4], dim=-1).flatten(-2)
        return (numbers.to(self.dtype) * scale).reshape(self.shape)


def _keep(x: Tensor, precision: Precision, memory: torch.device) -> _Kept:
    """Round numbers in groups of 32 of a head, by the largest of each, and move them."""
    if precision == "default":
        return _Kept(x.to(memory), None, x.shape, x.device, x.dtype, precision)
    most = 2 ** (_BITS[precision] - 1) - 1
    group = _GROUP if x.shape[-1] % _GROUP == 0 else x.shape[-1]
    grouped = x.float().reshape(*x.shape[:-1], -1, group)
    scale = (grouped.abs().amax(-1, keepdim=True) / most).clamp(min=1e-7)
    numbers = (grouped / scale).round().clamp(-most, most).to(torch.int8)
    if precision == "int4":
        high, low = numbers[..., ::2], numbers[..., 1::2]
        numbers = (high << 4) | (low & 15)
    kept = numbers.to(memory), scale.half().to(memory)
    return _Kept(*kept, x.shape, x.device, x.dtype, precision)


class HasPrefix(Protocol):
    """A network whose prefix can be kept."""

    prefix_node: str
    """The node type that sets the policy."""
    prefix_policy: PrefixPolicy | None
    """None: the network computes as one without a prefix."""


@dataclass(frozen=True, slots=True)
class PrefixCaching:
    """Sets a network's policy; an `Alteration`."""

    policy: PrefixPolicy
    node: str
    """The node type that sets it."""
    models: str
    """The models that it is for."""

    def alter(self, network: nn.Module) -> None:
        """Change a network; see `nodes.sampling.conditioning.cond.Alteration`.

        Raises:
            WrongNetworkError: it has no prefix that this node can keep.
        """
        if getattr(network, "prefix_node", None) != self.node:
            raise WrongNetworkError(code="wrong_network", what=self.node, wanted=self.models)
        cast("HasPrefix", network).prefix_policy = self.policy


def layers_of_run(
    policy: PrefixPolicy,
    number: int,
    numbers: int,
    like: Tensor,
    name: Hashable,
    sources: Sequence[object],
) -> Sequence[LayerPrefix]:
    """Return the places of the run for keys and values; none where they are not to be kept.

    Args:
        policy: of the network.
        number: of its layers.
        numbers: of a layer's keys and values.
        like: a tensor of the network's device and precision.
        name: equal for keys and values that are made in the same way.
        sources: what they are made of; told apart by identity, never by content.
    """
    if policy.place == "off":
        return ()

    def make() -> Sequence[LayerPrefix]:
        memory = policy.memory_for(number * numbers, like)
        return [LayerPrefix(memory, policy.precision) for _ in range(number)] if memory else ()

    return current_memory().hold(("prefix", like.dtype, name), sources, make) or ()


def are_full(layers: Sequence[LayerPrefix]) -> bool:
    """Return True if all keys and values are there."""
    return bool(layers) and all(layer.is_full for layer in layers)
