"""The tensors of a weights file, one at a time; on the CPU views of the mapped file."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Protocol, Self, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nodes.models.weights.errors import WeightFileError
from nodes.models.weights.gguf_tensors import open_gguf
from nodes.models.weights.header import TensorInfo, is_gguf


class TensorFile(Protocol):
    """An open weights file."""

    def get_tensor(self, name: str) -> Tensor:
        """Return one tensor, as the file stores it."""
        ...


def open_tensors(path: Path, device: str = "cpu") -> AbstractContextManager[TensorFile]:
    """Open a file whose header has been checked; tensors may outlive the block.

    Args:
        path: the file.
        device: the device that tensors of a GGUF file are read to. Those of a safetensors file
            are views of it on the CPU, since not every device can be read to directly.

    Raises:
        WeightFileError: its tensors overlap, or leave gaps.
    """
    if is_gguf(path):
        return open_gguf(path, device)
    open_file = cast("Callable[..., AbstractContextManager[TensorFile]]", safe_open)
    try:
        return open_file(str(path), framework="pt", device="cpu")
    except SafetensorError as error:
        raise WeightFileError(path, str(error), code="not_safetensors") from error


class TensorFiles:
    """The files that hold a model's tensors, each opened when it is first needed."""

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._stack = ExitStack()
        self._open: dict[Path, TensorFile] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def tensor(self, info: TensorInfo) -> Tensor:
        """Return one tensor on the device, as its file stores it; it may outlive the block.

        Raises:
            WeightFileError: its file has tensors that overlap, or leave gaps.
        """
        if info.file not in self._open:
            self._open[info.file] = self._stack.enter_context(open_tensors(info.file, self._device))
        tensor = self._open[info.file].get_tensor(info.name)
        there = tensor.device.type == torch.device(self._device).type
        return tensor if there else tensor.to(self._device)
