"""The tensors of a weights file, one at a time; on the CPU views of the mapped file."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Protocol, Self, cast

from safetensors import SafetensorError, safe_open
from torch import Tensor

from nodes.models.weights.errors import WeightFileError
from nodes.models.weights.header import is_gguf
from nodes.models.weights.mapped_tensors import map_gguf, map_safetensors
from nodes.models.weights.quantized import QuantizedTensor
from nodes.models.weights.tensor_info import TensorInfo


class TensorRows(Protocol):
    """The rows of a tensor in an open weights file."""

    def __getitem__(self, rows: slice) -> Tensor:
        """Return some rows, as the file stores them; no others are read."""
        ...


class TensorFile(Protocol):
    """An open weights file."""

    def get_tensor(self, name: str) -> Tensor:
        """Return one tensor, as the file stores it."""
        ...

    def get_slice(self, name: str) -> TensorRows:
        """Return the rows of one tensor, to be read when they are asked for."""
        ...


def open_tensors(path: Path) -> AbstractContextManager[TensorFile]:
    """Open a file whose header has been checked; tensors may outlive the block.

    They are views of the mapped file on the CPU, since not every device can be read to directly.

    Raises:
        WeightFileError: its tensors overlap, or leave gaps.
    """
    if is_gguf(path):
        return map_gguf(path)
    open_file = cast("Callable[..., AbstractContextManager[TensorFile]]", safe_open)
    try:
        return open_file(str(path), framework="pt", device="cpu")
    except SafetensorError as error:
        raise WeightFileError(path, str(error), code="not_safetensors") from error
    except RuntimeError:  # torch's: it is too large to be mapped at once
        return map_safetensors(path)


class TensorFiles:
    """The files that hold a model's tensors, each opened when it is first needed."""

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._stack = ExitStack()
        self._open: dict[Path, TensorFile] = {}
        self._numbers: dict[tuple[Path, str], float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def tensor(self, info: TensorInfo, rows: slice | None = None) -> Tensor:
        """Return one tensor on the device, as its file stores it; it may outlive the block.

        Args:
            info: the tensor.
            rows: those that are wanted; no others are read, nor kept on the device. None: all.

        Raises:
            WeightFileError: its file has tensors that overlap, or leave gaps.
        """
        file = self._file(info.file)
        tensor = file.get_tensor(info.name) if rows is None else file.get_slice(info.name)[rows]
        if isinstance(tensor, QuantizedTensor):
            return tensor.to_device(self._device)
        return tensor.to(self._device)

    def number(self, info: TensorInfo) -> float:
        """Return the only number of a tensor, without a copy on the device; read once.

        Raises:
            WeightFileError: as above.
        """
        key = (info.file, info.name)
        if key not in self._numbers:
            self._numbers[key] = float(self._file(info.file).get_tensor(info.name))
        return self._numbers[key]

    def _file(self, path: Path) -> TensorFile:
        if path not in self._open:
            self._open[path] = self._stack.enter_context(open_tensors(path))
        return self._open[path]
