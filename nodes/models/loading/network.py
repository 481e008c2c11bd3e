"""A network whose weights are in a file: built on first use, shared, never written again.

Patches (a LoRA at some strength) give a shallow clone: it shares every tensor that the patches
leave alone with the base network, and holds only those they touch.
"""

import threading
from collections import ChainMap, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol, TypeAlias, cast

import torch
from torch import Tensor, nn

from nodegraph.runtime.model_pool import held_or_loaded
from nodegraph.runtime.run_environment import check_cancelled
from nodes.models.families.base.errors import MissingWeightsError
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.loading.placement import default_placement
from nodes.models.loading.widening import widen
from nodes.models.networks.factory import network_class, skeleton
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import KeyTable, Source
from nodes.models.weights.lazy import FullPrecisionTensors, LazyTensors, is_quantized, read_weight
from nodes.models.weights.quantized import QuantizedTensor, ScaledFp8, full_precision, matrix_keys
from nodes.models.weights.reader import TensorFiles
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
    """How a clone differs from the network of the file."""

    patches: Patches = ()
    alterations: Alterations = ()
    dtype: torch.dtype | None = None


class Network:
    """One network of a file; equal to another by its content.

    Thread-safe: whoever comes first loads it, the others wait.
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
        """Nothing is read yet.

        Args:
            header: of the file that holds it.
            identity: the file's sha256.
            spec: which of the networks in it.
            narrow: round all weights to this, and keep matrices so; None: as the file has them.
            on_cpu: compute there, even if there is a better device.
        """
        self.header = header
        self.identity = identity
        self.spec = spec
        self.placement = default_placement(spec, storage_dtype, on_cpu=on_cpu)
        self._lock = threading.RLock()
        self._base: nn.Module | None = None
        self._table: KeyTable | None = None
        self._clones: OrderedDict[_Variant, nn.Module] = OrderedDict()

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
        """Where each of its weights comes from."""
        with self._lock:
            if self._table is None:
                self._table = self._table_of(skeleton(self.spec))
            return self._table

    @property
    def sources(self) -> KeyTable:
        """The tensors that its weights are read from: those of the table, or its own."""
        own = self.header.own.get(self.spec.prefix)
        return self.table if own is None else {key: Source(own + key) for key in self.table}

    def nbytes(self, patches: Patches = ()) -> int:
        """What its weights take in memory once loaded; with patches, those they touch alone."""
        if patches:
            touched = {key for patch in patches for key in patch.touches}
            own = [self.table[key] for key in touched & self.table.keys()]
            sizes = (source.share(self.header.tensors[source.key].numel) for source in own)
            return sum(sizes) * self.placement.dtype.itemsize
        named = self.header.tensors.items()
        infos = {(i.file, i.name): i for key, i in named if key.startswith(self.spec.prefix)}
        return sum(self.placement.nbytes(info) for info in infos.values())

    def module(
        self,
        patches: Patches = (),
        alterations: Alterations = (),
        dtype: torch.dtype | None = None,
    ) -> nn.Module:
        """The network with its weights and patches; ready to be called, never to be changed.

        Args:
            patches: on its weights.
            alterations: of what goes on inside.
            dtype: what it computes in; None is its placement's.

        Raises:
            MissingWeightsError: the file does not have them all.
            NodeGraphError: an alteration isn't for a network of this kind.
        """
        variant = _Variant(patches, alterations, None if dtype == self.placement.dtype else dtype)
        with self._lock:
            self._base = held_or_loaded(self, self._base, self._load)
            if variant == _Variant():
                return self._base
            if variant not in self._clones:
                self._clones[variant] = self._clone_of(self._base, variant)
            self._clones.move_to_end(variant)
            while len(self._clones) > CLONES_KEPT:
                self._clones.popitem(last=False)
            return self._clones[variant]

    def unload(self) -> bool:
        """Let go of its weights, which are read again when used; False if there are none."""
        with self._lock:
            held, self._base = self._base is not None, None
            self._clones.clear()
        return held

    def _clone_of(self, base: nn.Module, variant: _Variant) -> nn.Module:
        if variant == _Variant(variant.patches):
            return self._clone(base, variant.patches)
        weights = dict(self.module(variant.patches).state_dict())
        if variant.dtype is not None:
            weights = {k: _computed_in(weight, variant.dtype) for k, weight in weights.items()}
        clone = self._filled_with(weights)
        for alteration in variant.alterations:
            alteration.alter(clone)
        return clone

    def _filled_with(self, weights: Mapping[str, Tensor]) -> nn.Module:
        return _filled(skeleton(widen(self.spec, weights)), weights)

    def _load(self) -> nn.Module:
        module = skeleton(self.spec)
        self._table = self._table_of(module)
        sources = self.sources
        self._check(module, sources)
        matrices = frozenset(matrix_keys(module))
        with TensorFiles(str(self.placement.device)) as files:
            weights = {
                key: self._weight(files, source, matrix=key in matrices)
                for key, source in sources.items()
                if source.key in self.header
            }
        return _filled(module, self._empty(module) | weights)

    def _empty(self, module: nn.Module) -> dict[str, Tensor]:
        """Zeros that take no memory for what the file may lack; see `NetworkSpec.completed`."""
        if not self.spec.completed:
            return {}
        nothing = torch.zeros((), device=self.placement.device, dtype=self.placement.dtype)
        return {key: nothing.expand(each.shape) for key, each in module.state_dict().items()}

    def _weight(self, files: TensorFiles, source: Source, *, matrix: bool) -> Tensor:
        """A weight as it is kept: packed if it may be, or in the precision that is computed in."""
        check_cancelled()
        place = self.placement
        weight = read_weight(self.header, files, source, place.dtype)
        if isinstance(weight, QuantizedTensor) and matrix and place.keeps_quantized:
            return weight.with_dtype(place.dtype)
        kept = place.storage_dtype_of(self.header.tensors[source.key])
        if is_quantized(self.header, source.key) or not matrix or kept == place.dtype:
            return full_precision(weight, place.dtype)
        return QuantizedTensor(weight.to(kept), ScaledFp8(), weight.shape, place.dtype)

    @property
    def shapes(self) -> Mapping[str, torch.Size]:
        """What each of its weights is shaped like."""
        return {key: weight.shape for key, weight in skeleton(self.spec).state_dict().items()}

    def weights(self, keys: Iterable[str], patches: Patches = ()) -> Iterator[tuple[str, Tensor]]:
        """Some weights, in the precision that is computed in; no others are read.

        Args:
            keys: which.
            patches: on top of them.
        """
        changed = self.changed_weights(patches)
        with TensorFiles(str(self.placement.device)) as files:
            read = FullPrecisionTensors(self._unloaded(files), self.placement.dtype)
            for key in sorted(keys):
                yield key, changed[key] if key in changed else read[key]

    def changed_weights(self, patches: Patches) -> dict[str, Tensor]:
        """The weights that patches change; no others are read."""
        with TensorFiles(str(self.placement.device)) as files:
            return self._changed(self._unloaded(files), patches)

    def _unloaded(self, files: TensorFiles) -> Mapping[str, Tensor]:
        """Every weight as its file has it, read when it is asked for."""
        sources, dtype = self.sources, self.placement.dtype
        return LazyTensors(
            sources, lambda key: read_weight(self.header, files, sources[key], dtype)
        )

    def _clone(self, base: nn.Module, patches: Patches) -> nn.Module:
        weights = dict(base.state_dict())
        touched = self._changed(weights, patches)
        return self._filled_with({**weights, **touched})

    def _changed(self, weights: Mapping[str, Tensor], patches: Patches) -> dict[str, Tensor]:
        touched: dict[str, Tensor] = {}
        now = ChainMap(touched, cast("dict[str, Tensor]", weights))  # which it only reads
        for patch in patches:
            touched |= patch.apply(self, FullPrecisionTensors(now, self.placement.dtype))
        if self.spec.rounds_patched:
            touched = {key: self._rounded(key, weight) for key, weight in touched.items()}
        return touched

    def _rounded(self, key: str, weight: Tensor) -> Tensor:
        read_weight = self.header.tensors[self.table[key].key].dtype
        return weight.to(_DTYPES.get(read_weight, weight.dtype)).to(weight.dtype)

    def _table_of(self, module: nn.Module) -> KeyTable:
        return self.spec.table(module.state_dict(), self.spec.prefix)

    def _check(self, module: nn.Module, table: KeyTable) -> None:
        wrong: list[str] = []
        for key, weight in module.state_dict().items():
            source = table[key]
            if source.key not in self.header:
                if self.spec.completed:
                    continue
                wrong.append(f"no {source.key}")
            elif not _fits(self.header, source, weight):
                shape = list(self.header.shape(source.key))
                wrong.append(f"{source.key} is {shape}, not {list(weight.shape)}")
        if wrong:
            raise MissingWeightsError(self.header.path, network_class(self.spec.kind).title, wrong)


def _fits(header: Header, source: Source, weight: Tensor) -> bool:
    """Whether the weight's part of the file's tensor has the numbers and rows that it wants."""
    info = header.tensors[source.key]
    rows = info.shape[:1] if source.op != "transpose" else info.shape[1:2]
    if any(size % source.slots for size in rows):
        return False
    own = tuple(source.share(size) for size in rows)
    return own == tuple(weight.shape[:1]) and source.share(info.numel) == weight.numel()


def _computed_in(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.with_dtype(dtype) if isinstance(weight, QuantizedTensor) else weight.to(dtype)


def _filled(module: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """Give an empty network its weights: the tensors themselves, no copies."""
    module.load_state_dict(weights, assign=True)
    return module.eval().requires_grad_(False)
