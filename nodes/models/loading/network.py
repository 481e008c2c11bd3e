"""A network whose weights are in a file: built on first use, shared, never written again.

Patches (a LoRA at some strength) give a shallow clone: it shares every tensor that the patches
leave alone with the base network, and holds only those they touch.
"""

import threading
from collections import ChainMap, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol, TypeAlias, cast

import torch
from torch import Tensor, nn

from nodegraph.runtime.model_pool import held_or_loaded
from nodegraph.runtime.out_of_memory import attribute_to_weights
from nodegraph.runtime.pooled_model import PooledModel
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.loading.network_file import NetworkFile, with_weights
from nodes.models.loading.placement import default_placement
from nodes.models.loading.widening import widen
from nodes.models.networks.factory import skeleton
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import KeyTable
from nodes.models.weights.lazy import FullPrecisionTensors
from nodes.models.weights.quantized import QuantizedTensor
from nodes.models.weights.reader import TensorFiles
from nodes.models.weights.storages import storage_nbytes
from nodes.sampling.conditioning.cond import Alteration

CLONES_KEPT = 4
_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16}


class Patch(Protocol):
    """A change to some of a network's weights; hashable and equal by content."""

    def __hash__(self) -> int: ...

    @property
    def touches(self) -> frozenset[str]:
        """The weights it changes, by the network's own keys."""
        ...

    def apply(self, network: "Network", weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """New tensors for the weights it changes.

        Args:
            network: says what the weights are called, here and in the file.
            weights: as they are now, in the precision that is computed in; never written to.
        """
        ...


Patches: TypeAlias = tuple[Patch, ...]
Alterations: TypeAlias = tuple[Alteration, ...]


class _Variant(NamedTuple):
    """The differences of a clone from the network of the file."""

    patches: Patches = ()
    alterations: Alterations = ()
    dtype: torch.dtype | None = None


class _Clones:
    """The clones of a network that were used last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Variant, nn.Module] = OrderedDict()

    def get(self, variant: _Variant, build: Callable[[], nn.Module]) -> nn.Module:
        """Return the clone of a variant, built if it is not there."""
        if variant not in self._kept:
            self._kept[variant] = build()
        self._kept.move_to_end(variant)
        while len(self._kept) > CLONES_KEPT:
            self._kept.popitem(last=False)
        return self._kept[variant]

    def find(self, variant: _Variant) -> nn.Module | None:
        """Return the clone of a variant if it is there."""
        return self._kept.get(variant)

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The clones themselves, the one that was used last at the end."""
        return tuple(self._kept.values())

    def trim(self) -> bool:
        """Forget all but the one that was used last; False if there are no others."""
        others = list(self._kept)[:-1]
        for variant in others:
            del self._kept[variant]
        return bool(others)

    def clear(self) -> None:
        """Forget them all."""
        self._kept.clear()


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
        self._base: nn.Module | None = None
        self._held_bytes = 0
        self._clones = _Clones()

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
        """Return the bytes of its weights in memory; with patches, of those that they add.

        While they are not loaded, it is an estimate from the file's header.
        """
        base = self._base
        module = self._clones.find(_Variant(patches)) if patches else base
        if base is None or module is None:
            return self._estimate_nbytes(patches)
        shared = base.state_dict().values() if patches else ()
        return storage_nbytes(module.state_dict().values(), shared)

    def _estimate_nbytes(self, patches: Patches) -> int:
        if not patches:
            return self.file.nbytes
        touched = {key for patch in patches for key in patch.touches}
        own = [self.table[key] for key in touched & self.table.keys()]
        sizes = (source.share(self.header.tensors[source.key].numel) for source in own)
        return sum(sizes) * self.placement.dtype.itemsize

    @property
    def held_bytes(self) -> int:
        """The bytes that its weights take in memory now, those of its clones too."""
        return self._held_bytes

    def module(
        self,
        patches: Patches = (),
        alterations: Alterations = (),
        dtype: torch.dtype | None = None,
    ) -> nn.Module:
        """Return the network with its weights and patches: to be called, never to be changed.

        Args:
            patches: on its weights.
            alterations: of what goes on inside.
            dtype: what it computes in; None is its placement's.

        Raises:
            MissingWeightsError: the file does not have them all.
            WeightsMemoryError: they, or those that patches change, do not fit into memory.
            NodeGraphError: an alteration isn't for a network of this kind.
        """
        variant = _Variant(patches, alterations, None if dtype == self.placement.dtype else dtype)
        with self._lock:
            fresh = self._base is None
            base = self._base = held_or_loaded(self, self._base, self.file.load)
            if fresh:
                self._weigh()
            if variant == _Variant():
                return base
            known = self._clones.find(variant) is not None
            clone = self._clones.get(variant, lambda: self._clone(base, variant))
            if not known:
                self._weigh()
            return clone

    def unload(self) -> bool:
        """Let go of its weights, which are read again when used; False if there are none."""
        with self._lock:
            held, self._base = self._base is not None, None
            self._clones.clear()
            self._held_bytes = 0
        return held

    def trim(self) -> bool:
        """Forget the clones but the one that was used last; False if there are no others."""
        with self._lock:
            trimmed = self._clones.trim()
            self._weigh()
        return trimmed

    def weights(self, keys: Iterable[str], patches: Patches = ()) -> Iterator[tuple[str, Tensor]]:
        """Yield some weights, in the precision that is computed in; no others are read.

        Args:
            keys: the names of the weights.
            patches: on top of them.
        """
        changed = self.changed_weights(patches)
        with TensorFiles(str(self.placement.device)) as files:
            read = FullPrecisionTensors(self.file.lazy_weights(files), self.placement.dtype)
            for key in sorted(keys):
                yield key, changed[key] if key in changed else read[key]

    def changed_weights(self, patches: Patches) -> dict[str, Tensor]:
        """Return the weights that patches change; no others are read."""
        with TensorFiles(str(self.placement.device)) as files:
            return self._patch(self.file.lazy_weights(files), patches)

    def _weigh(self) -> None:
        """Measure what its weights and those of its clones take, each storage once."""
        modules = [] if self._base is None else [self._base, *self._clones.modules]
        weights = (weight for module in modules for weight in module.state_dict().values())
        self._held_bytes = storage_nbytes(weights)

    @attribute_to_weights()
    def _clone(self, base: nn.Module, variant: _Variant) -> nn.Module:
        if variant == _Variant(variant.patches):
            weights = dict(base.state_dict())
            return self._build(weights | self._patch(weights, variant.patches))
        weights = dict(self.module(variant.patches).state_dict())
        if variant.dtype is not None:
            weights = {k: _with_dtype(weight, variant.dtype) for k, weight in weights.items()}
        clone = self._build(weights)
        for alteration in variant.alterations:
            alteration.alter(clone)
        return clone

    def _build(self, weights: Mapping[str, Tensor]) -> nn.Module:
        return with_weights(skeleton(widen(self.spec, weights)), weights)

    def _patch(self, weights: Mapping[str, Tensor], patches: Patches) -> dict[str, Tensor]:
        """The weights that patches change, one patch after the other."""
        touched: dict[str, Tensor] = {}
        now = ChainMap(touched, cast("dict[str, Tensor]", weights))  # which it only reads
        for patch in patches:
            touched |= patch.apply(self, FullPrecisionTensors(now, self.placement.dtype))
        if self.spec.rounds_patched:
            touched = {key: self._round(key, weight) for key, weight in touched.items()}
        return touched

    def _round(self, key: str, weight: Tensor) -> Tensor:
        """Round a weight to the precision that it has in its file."""
        stored = self.header.tensors[self.table[key].key].dtype
        return weight.to(_DTYPES.get(stored, weight.dtype)).to(weight.dtype)


def _with_dtype(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.with_dtype(dtype) if isinstance(weight, QuantizedTensor) else weight.to(dtype)
