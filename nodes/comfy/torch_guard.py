"""A guard of torch against packs: what they replace is restored and reported."""

from collections.abc import Generator
from contextlib import contextmanager
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
            if key[:2] != "__" and now.get(key) is not value:
                setattr(holder, key, value)
                yield f"{name}.{key}"
