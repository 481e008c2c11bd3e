"""A guard of torch against packs: what they replace is restored and reported.

What torch replaces itself when parts of it are first imported stays: `torch._dynamo`, which
torchvision and others import, wraps `torch.manual_seed`.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

import torch
from torch import nn

from nodes.comfy.values.errors import ChangesTorchError

_WATCHED: dict[str, Any] = {
    "torch": torch,
    "torch.Tensor": torch.Tensor,
    "torch.nn": nn,
    "torch.nn.Module": nn.Module,
    "torch.nn.functional": nn.functional,
}
_TORCH = Path(torch.__file__).parent
"""The folder of torch's own code."""


@contextmanager
def guard_torch() -> Generator[None]:
    """Restore torch after this block if something in it was replaced.

    Raises:
        ChangesTorchError: something was replaced; it is restored.
    """
    before = {name: dict(vars(holder)) for name, holder in _WATCHED.items()}
    try:
        yield
    finally:
        replaced = list(_put_back(before))
    if replaced:
        raise ChangesTorchError(replaced)


def _put_back(before: dict[str, dict[str, Any]]) -> Generator[str]:
    for name, holder in _WATCHED.items():
        now = vars(holder)
        for key, value in before[name].items():
            if key[:2] == "__" or now.get(key) is value or _is_torchs_own(now.get(key)):
                continue
            setattr(holder, key, value)
            yield f"{name}.{key}"


def _is_torchs_own(function: Any) -> bool:
    """Return True if a function and all those that it wraps are defined in torch's own code."""
    while True:
        code = getattr(function, "__code__", None)
        if not isinstance(code, CodeType) or not Path(code.co_filename).is_relative_to(_TORCH):
            return False
        if not hasattr(function, "__wrapped__"):
            return True
        function = function.__wrapped__
