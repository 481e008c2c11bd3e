"""A network whose weights are in a file: built on first use, shared, its weights there once.

Patches (a LoRA at some strength) or another dtype make a variant in place of the one before; see
`nodes.models.loading.variants.resident`. Modules share common tensors, and none is written to.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol, TypeAlias, cast

import torch
from torch import Tensor, nn

from nodegraph.runtime.device_lane import device_lane
from nodegraph.runtime.devices import has_own_memory
from nodegraph.runtime.model_pool import held_or_loaded
from nodegraph.runtime.out_of_memory import attribute_to_weights
from nodegraph.runtime.pooled_model import PooledModel
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.loading.network_file import NetworkFile
from nodes.models.loading.placement import default_placement
from nodes.models.loading.variants.patched_weights import PatchedWeights
from nodes.models.loading.variants.resident import ResidentWeights
from nodes.models.loading.variants.variant import KeptVariant, Variant
from nodes.models.loading.variants.widening import widen
from nodes.models.networks.factory import network_class, skeleton
from nodes.models.residency.share import DeviceShare, sizes_of
from nodes.models.residency.split import Split
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
        self.too_narrow: set[torch.dtype] = set()
        """Types that numbers of its have been too large for; see `VaeHandle`."""
        self._lock = threading.RLock()
        self._weights: ResidentWeights | None = None
        self._held_bytes = self._host_bytes = 0
        kind = network_class(spec.kind)
        self.title = f"{kind.title} of {header.path.name!r}"
        self._share = DeviceShare(self.title, kind.parts)

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

    @property
    def source(self) -> str:
        """See `PooledModel`."""
        return str(self.header.path)

    def nbytes(self, patches: Patches = ()) -> int:
        """Return the bytes of its weights in memory; with patches, of those that they change.

        While they are not loaded, it is an estimate from the file's header.
        """
        weights = self._weights
        if weights is None or not patches:
            return self._estimate_nbytes(patches) if weights is None else weights.own_nbytes
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
        """The bytes that its weights take on its device now, those of its variants too."""
        return self._held_bytes

    @property
    def on_accelerator(self) -> bool:
        """See `PooledModel`."""
        return has_own_memory(self.placement.device)

    @property
    def host_bytes(self) -> int:
        """See `PooledModel`."""
        return self._host_bytes

    @property
    def least_bytes(self) -> int:
        """See `PooledModel`; by the file's header."""
        return self._least_bytes if self.on_accelerator else self.nbytes()

    @property
    def loading_bytes(self) -> int:
        """See `PooledModel`."""
        return self.file.loading_bytes if self._weights is None else 0

    @property
    def unpacked_bytes(self) -> int:
        """See `PooledModel`; by the file's header."""
        return self.file.unpacked_bytes

    @property
    def steady_bytes(self) -> int:
        """See `PooledModel`; by the file's header."""
        return self._steady_bytes

    @cached_property
    def _steady_bytes(self) -> int:
        return self._share.steady(partial(skeleton, self.spec), self.file.sizes)

    @cached_property
    def _least_bytes(self) -> int:
        return self._share.least(partial(skeleton, self.spec), self.file.sizes)

    def resize(self, nbytes: int, *, waits: bool = False) -> None:
        """Let at most so many bytes be on the device; see `PooledModel`.

        Raises:
            WeightsMemoryError: they do not fit there after all; all weights are let go of.
        """
        if not self.on_accelerator:
            return
        with self._lock:
            share, before = self._share, self._share.limit
            fits = before is not None and self.held_bytes <= nbytes <= before
            stays = fits and waits == share.waits
            share.limit, share.waits = nbytes, waits
            if self._weights is not None and not stays:
                self._settle(self._weights, computes=False)

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
        with device_lane(self.placement.device), self._lock:
            weights, kept = self._keep(variant)
            module = kept.find((beside, alterations))
            if module is None:
                try:
                    module = self._build(weights, kept, variant, beside, alterations)
                finally:
                    self._weigh()
            return module

    def kept_weights(
        self, patches: Patches = (), dtype: torch.dtype | None = None
    ) -> Mapping[str, Tensor]:
        """Return all weights that `module` computes with, on the device or parked on the host.

        Raises:
            NodeGraphError: as for `module`.
        """
        variant = Variant(patches, None if dtype == self.placement.dtype else dtype)
        with device_lane(self.placement.device), self._lock:
            return self._keep(variant)[1].weights

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

    def _keep(self, variant: Variant) -> tuple[ResidentWeights, KeptVariant]:
        """Load the weights if they are not there, and return them with a variant of them."""
        away = self._weights is not None and self._weights.is_away
        held = None if away else self._weights
        weights = self._weights = held_or_loaded(self, held, self._load)
        kept = weights.find(variant)
        if kept is None:
            try:
                with attribute_to_weights():
                    kept = weights.get(variant, partial(self._change, variant=variant))
            finally:
                self._weigh()
        return weights, kept

    def _load(self) -> ResidentWeights:
        """Read the weights to their places, or bring those back that are parked."""
        if self._weights is not None:
            self._settle(self._weights, computes=True)
            return self._weights
        hosted: set[str] = set()
        if self._share.limit is not None:
            sizes = self.file.sizes
            split = self._share.split(partial(skeleton, self.spec), sizes, computes=True)
            hosted = sizes.keys() - set(split.resident)
        own, read = self.file.load(hosted), self.file.read
        mapped = self.file.is_mapped
        split = partial(_split, self._share, self.spec)  # which does not hold the network
        return ResidentWeights(own, read, self.placement, split, mapped=mapped)

    @attribute_to_weights()
    def _settle(self, weights: ResidentWeights, *, computes: bool) -> None:
        """Move the weights to their places; what goes wrong on the way loses them."""
        self._weights = None
        try:
            weights.settle(computes=computes)
            self._weights = weights
        finally:
            self._weigh()

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
            plain = [key for key in weights if key not in weights.changed]
            for key, weight in self.file.read_rounded(plain, variant.dtype):
                weights.replace(key, weight)
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
        own: Mapping[str, Tensor] = {}
        if beside:
            change = partial(self._change, variant=Variant(beside, variant.dtype))
            own = resident.beside(kept, change)
        module = kept.placed.module(_skeleton(self.spec, {**kept.weights, **own}), own)
        for alteration in alterations:
            alteration.alter(module)
        return kept.keep((beside, alterations), module)

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


@dataclass(frozen=True, slots=True)
class VariantWeights:
    """The weights of one variant of a network, equal to others by content."""

    network: Network
    patches: Patches
    dtype: torch.dtype | None

    def __call__(self) -> Mapping[str, Tensor]:
        """Return them; see `Network.kept_weights`."""
        return self.network.kept_weights(self.patches, self.dtype)


def _split(
    share: DeviceShare, spec: NetworkSpec, weights: Mapping[str, Tensor], computes: bool
) -> Split:
    """Return the places of weights, those of a variant too."""
    empty = partial(_skeleton, spec, weights)
    there = [key for key, each in weights.items() if has_own_memory(each.device)]
    return share.split(empty, sizes_of(weights), there, computes=computes)


def _skeleton(spec: NetworkSpec, weights: Mapping[str, Tensor]) -> nn.Module:
    return skeleton(widen(spec, weights))


def _with_dtype(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.with_dtype(dtype) if isinstance(weight, QuantizedTensor) else weight.to(dtype)
