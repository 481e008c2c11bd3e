"""Lets fake tensors live on `cuda` in a torch that was built without CUDA.

Such a torch computes shapes for that device, but some of its paths ask for a device guard, or ask
the driver. Here the guard of the CPU, which has nothing to switch, stands in for the one that is
missing, and what the driver would say is given.
"""

import ctypes
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

_REGISTRY = "_ZN3c104impl26device_guard_impl_registryE"
"""`c10::impl::device_guard_impl_registry`: a pointer for each type of device."""
_CPU, _CUDA = 0, 1
"""Numbers of `c10::DeviceType`."""


@contextmanager
def fake_cuda(device: torch.device, answers: Mapping[str, Callable[..., Any]]) -> Generator[None]:
    """Let fake tensors be made on a device of type `cuda`.

    Args:
        device: the device that `torch.accelerator` then finds.
        answers: functions in place of those of `torch.accelerator`, by their names.
    """
    with ExitStack() as stack:
        stack.enter_context(_guard())
        replaced: dict[str, Callable[..., Any]] = {
            "torch.cuda._lazy_init": lambda: None,
            "torch.cuda.get_device_capability": lambda _=None: (9, 0),
            "torch.cuda.get_device_name": lambda _=None: "a pretended card",
            "torch.accelerator.current_accelerator": lambda *_, **__: device,
            "torch.accelerator.is_available": lambda: True,
            "torch.accelerator.device_count": lambda: 1,
            "torch.tensor": _on_its_way(torch.tensor),
            "torch.as_tensor": _on_its_way(torch.as_tensor),
            **{f"torch.accelerator.{name}": answer for name, answer in answers.items()},
        }
        for name, answer in replaced.items():
            stack.enter_context(patch(name, answer))
        # A plain tensor in the eyes of the code that tells quantized ones by their classes.
        stack.enter_context(patch.object(FakeTensor, "dequantize", lambda self: self))
        yield


@contextmanager
def _guard() -> Generator[None]:
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib/libc10.so"))
    guards = (ctypes.c_void_p * (_CUDA + 1)).in_dll(library, _REGISTRY)
    before = guards[_CUDA]
    guards[_CUDA] = before or guards[_CPU]
    try:
        yield
    finally:
        guards[_CUDA] = before


def _on_its_way(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function, with its tensor made on the CPU and copied: no mode sees where it is made."""

    def made(data: object, *args: Any, **options: Any) -> Tensor:
        device = torch.device(options.pop("device", None) or "cpu")
        tensor = make(data, *args, **options)
        return tensor if device.type == "cpu" else tensor.to(device)

    return made
