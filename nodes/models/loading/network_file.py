"""One network's weights in a file: where each of them lies there, and how they are read."""

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from nodegraph.runtime.devices import has_own_memory
from nodegraph.runtime.out_of_memory import attribute_to_weights
from nodegraph.runtime.run_environment import check_cancelled
from nodes.models.families.base.errors import MissingWeightsError
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.loading.placement import Placement
from nodes.models.networks.factory import network_class, skeleton
from nodes.models.residency.staged_files import StagedFiles
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import KeyTable, Source
from nodes.models.weights.lazy import LazyTensors, read_weight, stored_parts
from nodes.models.weights.quantized import QuantizedTensor, ScaledFp8, full_precision, matrix_keys
from nodes.models.weights.reader import TensorFiles


class _Plan(NamedTuple):
    """All that a network's structure says about reading it."""

    table: KeyTable
    shapes: Mapping[str, torch.Size]
    matrices: frozenset[str]
    """The weights of linear and convolutional layers."""


class NetworkFile:
    """The part of a file that is one network; any thread may read it.

    Args:
        header: of the file.
        spec: the network in it.
        placement: the device and dtypes of the weights once they are read.
    """

    def __init__(self, header: Header, spec: NetworkSpec, placement: Placement) -> None:
        self._header = header
        self._spec = spec
        self._placement = placement
        self._lock = threading.Lock()
        self._read_plan: _Plan | None = None

    @property
    def table(self) -> KeyTable:
        """The place of each weight in a file of the family's own layout."""
        return self._plan.table

    @property
    def sources(self) -> KeyTable:
        """The tensors that the weights are read from: those of the table, or the file's own."""
        own = self._header.own.get(self._spec.prefix)
        return self.table if own is None else {key: Source(own + key) for key in self.table}

    @property
    def shapes(self) -> Mapping[str, torch.Size]:
        """The shape of each weight."""
        return self._plan.shapes

    @property
    def nbytes(self) -> int:
        """The bytes that its tensors take in memory once loaded, by the file's header.

        Biases, norms and embeddings are counted as matrices are.
        """
        named = self._header.tensors.items()
        infos = {(i.file, i.name): i for key, i in named if key.startswith(self._spec.prefix)}
        return sum(self._placement.nbytes(info) for info in infos.values())

    @property
    def is_mapped(self) -> bool:
        """True if its matrices are kept as views of the mapped file, which take no memory."""
        place = self._placement
        infos = (self._header.tensors.get(source.key) for source in self.sources.values())
        return place.device.type == "cpu" and all(
            place.keeps_stored(info) for info in infos if info and len(info.shape) > 1
        )

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """The bytes of each weight as it is kept, by the file's header; 0 if the file lacks it."""
        return {key: self._kept_nbytes(key) for key in self.shapes}

    @cached_property
    def loading_bytes(self) -> int:
        """The bytes of the largest weight as the file has it that is converted on the device."""
        tensors, keeps = self._header.tensors, self._placement.keeps_stored
        named = {source.key for source in self.sources.values()} & tensors.keys()
        infos = (tensors[key] for key in named)
        return max((info.nbytes for info in infos if not keeps(info)), default=0)

    @cached_property
    def unpacked_bytes(self) -> int:
        """The bytes of the largest weight that is kept in fewer than it is computed with, unpacked.

        0 if there is none.
        """
        kept, wide = self.sizes, self._placement.dtype.itemsize
        full = {key: shape.numel() * wide for key, shape in self.shapes.items()}
        return max((full[key] for key in kept if 0 < kept[key] < full[key]), default=0)

    def load(self, hosted: Collection[str] = ()) -> dict[str, Tensor]:
        """Read all weights, in the network's order.

        Args:
            hosted: those that stay in the machine's memory.

        Raises:
            MissingWeightsError: the file does not have them all.
            WeightsMemoryError: they do not fit into memory.
        """
        self._check()
        with attribute_to_weights():
            return dict(self.read(self.shapes, hosted))

    def read(
        self, keys: Iterable[str], hosted: Collection[str] = ()
    ) -> Iterator[tuple[str, Tensor]]:
        """Read some weights, one after the other, as they are kept: to the same bits each time.

        Args:
            keys: of the weights.
            hosted: those that stay in the machine's memory.
        """
        sources, plan, keys = self.sources, self._plan, tuple(keys)
        stored = [key for key in keys if sources[key].key in self._header]
        wanted = [sources[key] for key in stored if key not in hosted]
        with self._files(wanted) as there, TensorFiles() as here:
            for key in keys:
                files = here if key in hosted else there
                if sources[key].key in self._header:
                    yield key, self._read_to_keep(files, sources[key], matrix=key in plan.matrices)
                else:
                    yield key, self._zeros(plan.shapes[key])

    def read_rounded(self, keys: Iterable[str], dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
        """Read those weights in another dtype that are rounded as they are kept.

        Args:
            keys: of the weights to look at.
            dtype: of the result.
        """
        header, sources, place = self._header, self.sources, self._placement
        infos = {key: header.tensors.get(sources[key].key) for key in keys}
        rounded = [key for key, info in infos.items() if info is not None and place.rounds(info)]
        with self._files([sources[key] for key in rounded]) as files:
            for key in rounded:
                weight = read_weight(header, files, sources[key], dtype)
                yield key, full_precision(weight, dtype)

    def _files(self, wanted: Iterable[Source]) -> TensorFiles:
        """Return the files to read weights from to the device, in that order."""
        device = self._placement.device
        if not has_own_memory(device):
            return TensorFiles(str(device))
        parts = [part for source in wanted for part in stored_parts(self._header, source)]
        return StagedFiles(parts, device)

    def lazy_weights(self, files: TensorFiles) -> Mapping[str, Tensor]:
        """Return every weight as the file has it, read when it is asked for."""
        header, sources, dtype = self._header, self.sources, self._placement.dtype
        return LazyTensors(sources, lambda key: read_weight(header, files, sources[key], dtype))

    @property
    def _plan(self) -> "_Plan":
        with self._lock:
            if self._read_plan is None:
                module, spec = skeleton(self._spec), self._spec
                shapes = {key: weight.shape for key, weight in module.state_dict().items()}
                table = spec.table(module.state_dict(), spec.prefix)
                self._read_plan = _Plan(table, shapes, frozenset(matrix_keys(module)))
            return self._read_plan

    def _zeros(self, shape: torch.Size) -> Tensor:
        """Zeros that take no memory for what the file may lack; see `NetworkSpec`."""
        place = self._placement
        return torch.zeros((), device=place.device, dtype=place.dtype).expand(shape)

    def _read_to_keep(self, files: TensorFiles, source: Source, *, matrix: bool) -> Tensor:
        """A weight as it is kept: quantized if it may be, or in the precision of computation."""
        check_cancelled()
        place = self._placement
        weight = read_weight(self._header, files, source, place.dtype)
        if isinstance(weight, QuantizedTensor) and matrix and place.keeps_quantized:
            return weight.with_dtype(place.dtype)
        kept = place.storage_dtype_of(self._header.tensors[source.key])
        if self._header.tensors[source.key].is_quantized or not matrix or kept == place.dtype:
            return place.lay_out(full_precision(weight, place.dtype))
        return QuantizedTensor(weight.to(kept), ScaledFp8(), weight.shape, place.dtype)

    def _kept_nbytes(self, key: str) -> int:
        place, source = self._placement, self.sources[key]
        info, numel = self._header.tensors.get(source.key), self.shapes[key].numel()
        if info is None:
            return 0
        is_matrix = key in self._plan.matrices
        if is_matrix and place.keeps_quantized and info.is_quantized and source.op == "id":
            return source.share(info.nbytes)
        packs = is_matrix and not info.is_quantized
        return numel * (place.storage_dtype_of(info) if packs else place.dtype).itemsize

    def _check(self) -> None:
        wrong: list[str] = []
        sources = self.sources
        for key, wanted in self.shapes.items():
            source = sources[key]
            if source.key not in self._header:
                if self._spec.completed or key in self._spec.optional:
                    continue
                wrong.append(f"no {source.key}")
            elif not _fits(self._header, source, wanted):
                shape = list(self._header.shape(source.key))
                wrong.append(f"{source.key} is {shape}, not {list(wanted)}")
        if wrong:
            title = network_class(self._spec.kind).title
            raise MissingWeightsError(self._header.path, title, wrong)


def _fits(header: Header, source: Source, wanted: torch.Size) -> bool:
    """True if the weight's part of the file's tensor has the numbers and rows that it wants."""
    info = header.tensors[source.key]
    if source.op == "sixths":
        return info.numel == wanted.numel()
    rows = info.shape[:1] if source.op != "transpose" else info.shape[1:2]
    if any(size % source.slots for size in rows):
        return False
    own = tuple(source.share(size) for size in rows)
    return own == tuple(wanted[:1]) and source.share(info.numel) == wanted.numel()
