"""The weights of a network in memory: those of its file, and the variants of them that are kept.

Weights that take memory of their own are there once. What a variant changes takes the place of
the file's weights, one after the other, and those are read again when another variant needs them:
a LoRA, another strength or another dtype takes no second model. Only where weights are views of a
mapped file, which take none, the variants that were used last stay beside each other.

A network that has a share of its device keeps the rest on the host; see `nodes.models.residency`.

Tensors are never written to. Whoever still computes with an earlier variant keeps its tensors.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TypeAlias, cast

from torch import Tensor

from nodes.models.loading.placement import Placement
from nodes.models.loading.variants.patched_weights import PatchedWeights
from nodes.models.loading.variants.variant import KeptVariant, Variant
from nodes.models.residency.layout import storage_nbytes
from nodes.models.residency.parked_unit import ParkedUnit
from nodes.models.residency.placement import keys_beside, place
from nodes.models.residency.share import sizes_of
from nodes.models.residency.split import Split
from nodes.models.weights.quantized import QuantizedTensor

VARIANTS_KEPT = 4
"""The variants that stay beside each other where the file's weights take no memory."""

Change: TypeAlias = Callable[[PatchedWeights], None]
"""Changes weights to those of a variant."""
Read: TypeAlias = Callable[[Iterable[str], Collection[str]], Iterator[tuple[str, Tensor]]]
"""Reads weights from the file, one after the other, as they are kept; some of them to the host."""
SplitWeights: TypeAlias = Callable[[Mapping[str, Tensor], bool], Split]
"""Returns the places of all weights, by the weights and whether they are about to be used."""


class ResidentWeights:
    """The weights of one network; not thread-safe.

    Args:
        own: those of the file, all of them.
        read: reads some of them again, to the same bits.
        place: the device and the precision that is computed in.
        split: says where weights have their places.
        mapped: they are views of the mapped file.
    """

    def __init__(
        self,
        own: dict[str, Tensor],
        read: Read,
        place: Placement,
        split: SplitWeights,
        *,
        mapped: bool,
    ) -> None:
        self._hosted = keys_beside(own, place.device)
        """The weights that are not on the device."""
        one_by_one = sum(sizes_of(own).values()) if self._hosted else 0
        self.own_nbytes = one_by_one or storage_nbytes(own.values())
        """The bytes of the file's weights."""
        self._split = split
        self._units: Mapping[str, ParkedUnit] = {}
        """Those of the variant that was placed last."""
        self._own = own
        self._keys = dict.fromkeys(own)
        self._read = read
        self._place = place
        self._mapped = mapped
        self._kept: OrderedDict[Variant, KeptVariant] = OrderedDict()

    @property
    def held_bytes(self) -> int:
        """The bytes that all weights take on the device, each storage once."""
        kept = (weight for each in self._kept.values() for weight in each.tensors())
        device = self._place.device.type
        there = (weight for weight in (*self._own.values(), *kept) if weight.device.type == device)
        return storage_nbytes(there)

    @property
    def host_bytes(self) -> int:
        """The bytes of weights that wait on the host."""
        return sum(kept.placed.host_bytes for kept in self._kept.values())

    @property
    def is_away(self) -> bool:
        """True if they are all on the host, where they do not compute."""
        return any(kept.placed.is_away for kept in self._kept.values())

    def settle(self, *, computes: bool) -> None:
        """Move all weights to where the network's share of the device lets them be.

        After an error they are not to be used any more.

        Args:
            computes: the network is about to.
        """
        for variant in list(self._kept):
            kept = self._kept[variant]
            split = self._split(kept.weights, computes)
            if split != kept.placed.split:
                self._units, weights = kept.placed.units, dict(kept.weights)
                del self._kept[variant], kept
                self._kept[variant] = self._settle(weights, split)

    def find(self, variant: Variant) -> KeptVariant | None:
        """Return a variant if it is there, which is its latest use."""
        if variant in self._kept:
            self._kept.move_to_end(variant)
        return self._kept.get(variant)

    def changed_nbytes(self, variant: Variant) -> int | None:
        """Return the bytes of a variant's weights that the file does not have; None if unknown."""
        kept = self._kept.get(variant)
        if kept is None:
            return None
        return storage_nbytes(kept.weights.values(), self._own.values())

    def get(self, variant: Variant, change: Change) -> KeptVariant:
        """Return a variant, which takes the place of others if it is not there.

        An error leaves no variant behind; the next call reads what is missing then.

        Args:
            variant: its name.
            change: makes it of the file's weights.
        """
        if variant not in self._kept:
            while len(self._kept) >= (VARIANTS_KEPT if self._mapped else 1):
                self._kept.popitem(last=False)
            weights = self._make(change)
            self._kept[variant] = self._settle(weights, self._split(weights, True))
        return self._kept[variant]

    def beside(self, kept: KeptVariant, change: Change) -> Mapping[str, Tensor]:
        """Return the weights that are changed further, beside those of a variant, which stay."""
        weights = PatchedWeights(kept.weights, kept.weights, kept.weights.__getitem__, self._place)
        change(weights)
        return weights.changed

    def trim(self) -> bool:
        """Forget all variants and modules but those used last; False if there are no others."""
        others = list(self._kept)[:-1]
        for variant in others:
            del self._kept[variant]
        trimmed = [kept.trim() for kept in self._kept.values()]
        return bool(others) or any(trimmed)

    def _settle(self, weights: dict[str, Tensor], split: Split) -> KeptVariant:
        """Move the weights of a variant to their places, where those of the file are the same."""
        shared = [key for key, own in self._own.items() if _shares(own, weights.get(key))]
        again = {key: _rebuilder(self._own.pop(key), weights[key]) for key in shared}
        placed = place(weights, split, self._place.device, self._units)
        self._own.update((key, rebuild(weights[key])) for key, rebuild in again.items())
        self._units, self._hosted = placed.units, keys_beside(weights, self._place.device)
        return KeptVariant(weights, placed)

    def _make(self, change: Change) -> dict[str, Tensor]:
        weights = PatchedWeights(
            self._own,
            self._keys,
            self._read_one,
            self._place,
            free=self._free,
            home=self._hosted,
        )
        complete = False
        try:
            change(weights)
            missing = self._keys.keys() - self._own.keys() - weights.changed.keys()
            ordered = (key for key in self._keys if key in missing)
            self._own.update(self._read(ordered, self._hosted))
            complete = True
        finally:
            if not complete:  # the error may be kept for a while, and this with it
                weights.changed.clear()
        return {key: weights.stored_weight(key) for key in weights}

    def _read_one(self, key: str) -> Tensor:
        ((_, weight),) = self._read((key,), self._hosted)
        return weight

    def _free(self, key: str, instead: Tensor) -> None:
        """Let go of a weight of the file that a variant has replaced."""
        own = self._own.get(key)
        if own is not None and not self._mapped and not _shares(own, instead):
            del self._own[key]


def _rebuilder(own: Tensor, instead: Tensor) -> Callable[[Tensor], Tensor]:
    """Return what makes a weight of the file again of one that shares its memory and has moved.

    It does not hold the weight, so that what moves is freed at once.
    """
    if own is instead or not isinstance(own, QuantizedTensor):
        return lambda moved: moved
    dtype = own.dtype
    return lambda moved: cast("QuantizedTensor", moved).as_stored().with_dtype(dtype)


def _shares(own: Tensor, instead: Tensor | None) -> bool:
    """Return True if a weight takes no memory beside another, whose numbers it has, too."""
    if isinstance(own, QuantizedTensor) and isinstance(instead, QuantizedTensor):
        return own.packed is instead.packed
    return own is instead
