"""The tensors of a safetensors file, one at a time; on the CPU views of the mapped file."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, cast

from safetensors import safe_open
from torch import Tensor


class TensorFile(Protocol):
    """An open file."""

    def get_tensor(self, name: str) -> Tensor:
        """One tensor, as the file stores it."""
        ...


def opened(path: Path, device: str = "cpu") -> AbstractContextManager[TensorFile]:
    """Open a file whose header has been checked; tensors may outlive the block."""
    open_file = cast("Callable[..., AbstractContextManager[TensorFile]]", safe_open)
    return open_file(str(path), framework="pt", device=device)
