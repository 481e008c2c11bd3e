"""A guard of torch against packs: what they replace is restored and reported.

What torch replaces itself when parts of it are first imported stays: `torch._dynamo`, which
torchvision and others import, wraps `torch.manual_seed`. What an installed library replaces that a
pack imports (`torch.load` by ultralytics, `torch.compile` by lightning) is restored, no more: the
pack is not to blame.
"""

import logging
import site
from collections.abc import Generator, Sequence
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
_LIBRARIES = [Path(place) for place in (*site.getsitepackages(), _TORCH.parent)]
"""The folders of installed packages."""
_log = logging.getLogger(__name__)


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
        replaced = dict(_put_back(before))
    by_packs = [name for name, value in replaced.items() if not _is_from(_LIBRARIES, value)]
    if by_packs:
        raise ChangesTorchError(by_packs)
    if replaced:
        _log.info("a library replaced %s, which is put back", ", ".join(replaced))


def _put_back(before: dict[str, dict[str, Any]]) -> Generator[tuple[str, Any]]:
    """Restore what was replaced; yield the name of each, and the replacement."""
    for name, holder in _WATCHED.items():
        now = vars(holder)
        for key, value in before[name].items():
            other = now.get(key)
            if key[:2] == "__" or other is value or _is_from([_TORCH], other):
                continue
            setattr(holder, key, value)
            yield f"{name}.{key}", other


def _is_from(folders: Sequence[Path], function: Any) -> bool:
    """Return True if a function and all those that it wraps are defined in these folders."""
    while True:
        code = getattr(function, "__code__", None)
        if not isinstance(code, CodeType):
            return False
        if not any(Path(code.co_filename).is_relative_to(folder) for folder in folders):
            return False
        if not hasattr(function, "__wrapped__"):
            return True
        function = function.__wrapped__
