"""The tensors of a safetensors file, one at a time; on the CPU views of the mapped file."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, cast

from safetensors import SafetensorError, safe_open
from torch import Tensor

from nodes.errors import NotSafetensorsError


class TensorFile(Protocol):
    """An open file."""

    def get_tensor(self, name: str) -> Tensor:
        """One tensor, as the file stores it."""
        ...


def opened(path: Path, device: str = "cpu") -> AbstractContextManager[TensorFile]:
    """Open a file whose header has been checked; tensors may outlive the block.

    Raises:
        NotSafetensorsError: its tensors overlap, or leave gaps.
    """
    open_file = cast("Callable[..., AbstractContextManager[TensorFile]]", safe_open)
    try:
        return open_file(str(path), framework="pt", device=device)
    except SafetensorError as error:
        raise NotSafetensorsError(path, str(error)) from error
