"""The bytes that cross from the machine's memory to the device, counted op by op."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nodegraph.runtime.devices import has_own_memory

_TO_COPY, _COPY_INTO = (getattr(torch.ops.aten, name).default for name in ("_to_copy", "copy_"))


class CopyCounter(TorchDispatchMode):
    """Counts the copies to a device of memory of its own in this thread while its block lasts.

    It slows every op down, so that times are measured without it.
    """

    def __init__(self) -> None:
        cast("Any", super()).__init__()
        self.nbytes = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an op, and count what it copies to a device."""
        options = dict(kwargs or {})
        result = func(*args, **options)
        if func is _TO_COPY and _crosses(args[0], result):
            self.nbytes += args[0].numel() * args[0].itemsize
        elif func is _COPY_INTO and _crosses(args[1], args[0]):
            self.nbytes += args[1].numel() * args[1].itemsize
        return result


def _crosses(source: Tensor, to: Tensor) -> bool:
    return has_own_memory(to.device) and not has_own_memory(source.device)
