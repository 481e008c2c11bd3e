"""Compilation of a network by torch, when it is first called.

The blocks that a network repeats are compiled one by one, and all of one class share the code that
is compiled for the first: that takes a fraction of the time of the whole network.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch
from torch import nn

from nodegraph.runtime.devices import captures_graphs, default_device
from nodegraph.runtime.out_of_memory import is_out_of_memory
from nodes.models.networks.base.errors import CompiledCodeError
from nodes.models.weights.errors import UnavailableHereError

COMPILED = "is_compiled"
"""The attribute of modules whose forward pass is compiled."""
_COMPILERS = ("g++", "clang++", "c++", "cl")
_HINT = "Use the other backend, or take the node out."


@dataclass(frozen=True, slots=True)
class TorchCompile:
    """Compiles the network with one of torch's backends.

    A block is computed as it is if its own forward pass was altered before, or if parts of it wait
    on the host by themselves.
    """

    backend: str
    blocks: tuple[str, ...] = ()
    """The names of the classes of modules that are compiled; none: the network as a whole."""

    def alter(self, network: nn.Module) -> None:
        """Change a network; see `nodes.sampling.conditioning.cond.Alteration`.

        Raises:
            UnavailableHereError: the backend lacks what it needs here.
        """
        lack = self._find_lack(network)
        if lack:
            what = f"the backend {self.backend!r}"
            raise UnavailableHereError(code="cannot_compile", what=what, reason=lack, hint=_HINT)
        for module in self._modules(network):
            if "forward" not in vars(module) and not _has_parked_parts(module):
                module.__class__ = _compiled_class(type(module), self.backend)

    def _find_lack(self, network: nn.Module) -> str:
        """Return what the backend needs and does not have here; nothing if it can compile."""
        if self.backend == "cudagraphs" and not captures_graphs(default_device()):
            return "it needs an NVIDIA GPU"
        if self.backend == "inductor" and default_device().type == "cpu" and not _has_compiler():
            return "it needs a C++ compiler (g++ or clang++)"
        if not self.blocks and _has_parked_parts(network):
            return "it needs all weights on the device, and they do not fit"
        return ""

    def _modules(self, network: nn.Module) -> Iterator[nn.Module]:
        if not self.blocks:
            yield network
            return
        for module in list(network.modules()):
            if type(module).__name__ in self.blocks:
                yield module


@cache
def _compiled_class(kind: type[nn.Module], backend: str) -> type[nn.Module]:
    """Return a class of modules whose forward pass is compiled, otherwise the same.

    It is one class for all networks of the process, which share what is compiled.
    """
    forward = _CompiledForward(kind, backend)

    def run(module: nn.Module, *args: object, **kwargs: object) -> object:
        """Run the forward pass of the class."""
        return forward(module, *args, **kwargs)

    names: dict[str, object] = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "forward": run,
        COMPILED: True,
    }
    return type(kind.__name__, (kind,), names)


class _CompiledForward:
    """The forward pass of a class of modules, compiled when it is called."""

    def __init__(self, kind: type[nn.Module], backend: str) -> None:
        compile_by = cast("Callable[..., Callable[..., object]]", torch.compile)
        self._run = compile_by(cast("Any", kind.forward), backend=backend)
        self._kind = kind.__name__
        self._failure = ""

    def __call__(self, module: nn.Module, *args: object, **kwargs: object) -> object:
        """Run it.

        Raises:
            CompiledCodeError: it can not be compiled, or what was compiled fails; from then on,
                always.
        """
        if self._failure:
            raise CompiledCodeError(self._kind, self._failure)
        try:
            return self._run(
                module,
                *(_plainly_laid_out(arg) for arg in args),
                **{name: _plainly_laid_out(arg) for name, arg in kwargs.items()},
            )
        except RuntimeError as error:  # those of torch's compilers, too
            if is_out_of_memory(error):
                raise
            self._failure = " ".join(str(error).split("\n")[:2]).rstrip(".")
            raise CompiledCodeError(self._kind, self._failure) from error


def _plainly_laid_out(arg: object) -> object:
    """Return a tensor without a trace of whose part it is, anything else as it is.

    Torch would compile again for a part of another tensor, and for other strides of dimensions of
    size 1, which may be any.
    """
    if not isinstance(arg, torch.Tensor):
        return arg
    return (arg.view(arg.shape) if arg.is_contiguous() else arg).data


def _has_parked_parts(module: nn.Module) -> bool:
    """Return True if parts inside a module get their weights when they are called."""
    parts = (cast("Any", part) for part in module.modules() if part is not module)
    return any(part._forward_pre_hooks for part in parts)  # noqa: SLF001 - torch has no other


def _has_compiler() -> bool:
    named = os.environ.get("CXX")
    return any(shutil.which(name) for name in ([named] if named else _COMPILERS))
