"""A network whose weights are in a file: built on first use, shared, its weights there once.

Patches (a LoRA at some strength) or another dtype make a variant of the weights, which takes the
place of the one before; see `nodes.models.loading.variants.resident`. Modules share every tensor
that they have in common, and none is ever written to.
"""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeAlias, cast

import torch
from torch import Tensor, nn

from nodegraph.runtime.devices import is_accelerator
from nodegraph.runtime.model_pool import held_or_loaded
from nodegraph.runtime.out_of_memory import attribute_to_weights
from nodegraph.runtime.pooled_model import PooledModel
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.loading.network_file import NetworkFile, with_weights
from nodes.models.loading.placement import default_placement
from nodes.models.loading.variants.patched_weights import PatchedWeights
from nodes.models.loading.variants.resident import ResidentWeights
from nodes.models.loading.variants.variant import KeptVariant, Variant
from nodes.models.loading.variants.widening import widen
from nodes.models.networks.factory import network_class, skeleton
from nodes.models.residency.placement import PlacedWeights, place
from nodes.models.residency.share import DeviceShare, sizes_of
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import KeyTable
from nodes.models.weights.quantized import QuantizedTensor, full_precision
from nodes.models.weights.reader import TensorFiles
from nodes.sampling.conditioning.cond import Alteration

_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16}


class Patch(Protocol):
    """A change to some of a network's weights; hashable and equal by content."""

    def __hash__(self) -> int: ...

    @property
    def touches(self) -> frozenset[str]:
        """The weights it changes, by the network's own keys."""
        ...

    def apply(self, network: "Network", weights: PatchedWeights) -> Iterator[dict[str, Tensor]]:
        """Yield new tensors for the weights it changes, a few at a time.

        Each takes the place of the weight before the next is asked for, so that the memory of
        one weight is enough.

        Args:
            network: says what the weights are called, here and in the file.
            weights: as they are now, in the precision that is computed in; never written to.
        """
        ...


Patches: TypeAlias = tuple[Patch, ...]
Alterations: TypeAlias = tuple[Alteration, ...]


class Network(PooledModel):
    """One network of a file; equal to another by its content.

    Thread-safe: whoever comes first loads it, the others wait. Until then nothing is read.

    Args:
        header: of the file that holds it.
        identity: the file's sha256.
        spec: the network in the file.
        storage_dtype: round all weights to this, and keep matrices so; None: as the file has them.
        on_cpu: compute there, even if there is a better device.
    """

    def __init__(
        self,
        header: Header,
        identity: str,
        spec: NetworkSpec,
        storage_dtype: torch.dtype | None = None,
        *,
        on_cpu: bool = False,
    ) -> None:
        self.header = header
        self.identity = identity
        self.spec = spec
        self.placement = default_placement(spec, storage_dtype, on_cpu=on_cpu)
        self.file = NetworkFile(header, spec, self.placement)
        self._lock = threading.RLock()
        self._weights: ResidentWeights | None = None
        self._held_bytes = self._host_bytes = 0
        kind = network_class(spec.kind)
        self._share = DeviceShare(kind.title, kind.parts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Network):
            return NotImplemented
        return self._content == other._content

    def __hash__(self) -> int:
        return hash((self.identity, self.spec.name, self.spec.prefix))

    @property
    def _content(self) -> tuple[object, ...]:
        return (self.identity, self.spec, self.placement.storage_dtype, self.placement.device)

    @property
    def table(self) -> KeyTable:
        """The place of each of its weights in a file of its family's own layout."""
        return self.file.table

    def nbytes(self, patches: Patches = ()) -> int:
        """Return the bytes of its weights in memory; with patches, of those that they change.

        While they are not loaded, it is an estimate from the file's header.
        """
        weights = self._weights
        if weights is None or self._is_split:
            return self._estimate_nbytes(patches)
        if not patches:
            return weights.own_nbytes
        changed = weights.changed_nbytes(Variant(patches))
        return self._estimate_nbytes(patches) if changed is None else changed

    def _estimate_nbytes(self, patches: Patches) -> int:
        if not patches:
            return self.file.nbytes
        touched = {key for patch in patches for key in patch.touches}
        own = [self.table[key] for key in touched & self.table.keys()]
        sizes = (source.share(self.header.tensors[source.key].numel) for source in own)
        return sum(sizes) * self.placement.dtype.itemsize

    @property
    def held_bytes(self) -> int:
        """The bytes that its weights take in memory now, those of its variants too."""
        return self._held_bytes

    @property
    def host_bytes(self) -> int:
        """See `PooledModel`."""
        return self._host_bytes

    @property
    def on_accelerator(self) -> bool:
        """See `PooledModel`."""
        return is_accelerator(self.placement.device)

    def resize(self, nbytes: int) -> None:
        """Let at most so many bytes be on the device; see `PooledModel`.

        Weights that are loaded are let go of, and read again into their new places.
        """
        with self._lock:
            limit = nbytes if self.on_accelerator and nbytes < self.nbytes() else None
            if limit != self._share.limit:
                self._share.limit = limit
                self.unload()

    @property
    def _is_split(self) -> bool:
        """True if some of its weights wait on the host while it computes."""
        return self._share.limit is not None

    def module(
        self,
        patches: Patches = (),
        alterations: Alterations = (),
        dtype: torch.dtype | None = None,
        *,
        beside: Patches = (),
    ) -> nn.Module:
        """Return the network with its weights and patches: to be called, never to be changed.

        Args:
            patches: on its weights.
            alterations: of what goes on inside.
            dtype: what it computes in; None is its placement's.
            beside: patches of some calls alone, on top. The weights that they change stay beside
                the others, for calls with and without them take turns.

        Raises:
            MissingWeightsError: the file does not have them all.
            WeightsMemoryError: they, or those that patches change, do not fit into memory.
            NodeGraphError: an alteration isn't for a network of this kind.
        """
        variant = Variant(patches, None if dtype == self.placement.dtype else dtype)
        with self._lock:
            self._weights = held_or_loaded(self, self._weights, self._load)
            kept = self._weights.find(variant)
            module = kept and kept.find((beside, alterations))
            if module is None:
                try:
                    kept = self._weights.get(variant, partial(self._change, variant=variant))
                    module = self._build(self._weights, kept, variant, beside, alterations)
                finally:
                    self._weigh()
            return module

    def unload(self) -> bool:
        """Let go of its weights, which are read again when used; False if there are none."""
        with self._lock:
            held, self._weights = self._weights is not None, None
            self._weigh()
        return held

    def trim(self) -> bool:
        """Forget the variants and modules but those used last; False if there are no others."""
        with self._lock:
            trimmed = self._weights is not None and self._weights.trim()
            self._weigh()
        return trimmed

    def weights(self, keys: Iterable[str], patches: Patches = ()) -> Iterator[tuple[str, Tensor]]:
        """Yield some weights, in the precision that is computed in; no others are read.

        Those that patches change wait in the machine's memory for their turn.

        Args:
            keys: the names of the weights.
            patches: on top of them.
        """
        place, changed = self.placement, self.changed_weights(patches)
        with TensorFiles(str(place.device)) as files:
            read = self.file.lazy_weights(files)
            for key in sorted(keys):
                weight = changed.pop(key) if key in changed else read[key]
                yield key, full_precision(weight, place.dtype).to(place.device)

    def changed_weights(self, patches: Patches) -> dict[str, Tensor]:
        """Return the weights that patches change, in the machine's memory; no others are read."""
        place = self.placement
        with TensorFiles(str(place.device)) as files:
            read = self.file.lazy_weights(files)
            weights = PatchedWeights(read, self.table, read.__getitem__, place, home="cpu")
            self._change(weights, Variant(patches))
        return weights.changed

    def _load(self) -> ResidentWeights:
        file, place = self.file, self.placement
        if not self._is_split:
            return ResidentWeights(file.load(), file.read, place, mapped=file.is_mapped)
        file = NetworkFile(self.header, self.spec, replace(place, device=torch.device("cpu")))
        return ResidentWeights(file.load(), file.read, place, mapped=False, home="cpu")

    def _weigh(self) -> None:
        """Measure what its weights take, each storage once."""
        weights = self._weights
        self._held_bytes = 0 if weights is None else weights.held_bytes
        self._host_bytes = 0 if weights is None else weights.host_bytes

    @attribute_to_weights()
    def _change(self, weights: PatchedWeights, variant: Variant) -> None:
        """Change weights to those of a variant: one patch after the other, then the dtype."""
        self._patch(weights, cast("Patches", variant.patches))
        if variant.dtype is not None:
            for key in list(weights):
                weights.replace(key, _with_dtype(weights.stored_weight(key), variant.dtype))

    def _build(
        self,
        resident: ResidentWeights,
        kept: KeptVariant,
        variant: Variant,
        beside: Patches,
        alterations: Alterations,
    ) -> nn.Module:
        placed = self._place(kept) if self._is_split else None
        weights = kept.weights
        if beside:
            change = partial(self._change, variant=Variant(beside, variant.dtype))
            weights = resident.beside(kept, change)
        module = skeleton(widen(self.spec, weights))
        if placed:
            own = {key: each for key, each in weights.items() if each is not kept.weights.get(key)}
            module = placed.module(module, own)
        else:
            module = with_weights(module, weights)
        for alteration in alterations:
            alteration.alter(module)
        return kept.keep((beside, alterations), module)

    @attribute_to_weights()
    def _place(self, kept: KeptVariant) -> PlacedWeights:
        """Move a variant's weights to their places, unless they are there."""
        if kept.placed is None:
            weights = dict(kept.weights)
            build, sizes = partial(skeleton, widen(self.spec, weights)), sizes_of(weights)
            self._share.must_compute(build, sizes)
            kept.placed = place(weights, self._share.split(build, sizes), self.placement.device)
            kept.weights = weights
        return kept.placed

    def _patch(self, weights: PatchedWeights, patches: Patches) -> None:
        for patch in patches:
            for changed in patch.apply(self, weights):
                weights.update(changed)
        for key in list(weights.changed) if self.spec.rounds_patched else ():
            weights.replace(key, self._round(key, weights.stored_weight(key)))

    def _round(self, key: str, weight: Tensor) -> Tensor:
        """Round a weight to the precision that it has in its file."""
        stored = self.header.tensors[self.table[key].key].dtype
        return weight.to(_DTYPES.get(stored, weight.dtype)).to(weight.dtype)


def _with_dtype(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.with_dtype(dtype) if isinstance(weight, QuantizedTensor) else weight.to(dtype)
