"""A network that is compiled when it is first called."""

import os
import shutil
from dataclasses import dataclass

import torch
from torch import nn

from nodegraph.runtime.devices import default_device
from nodes.models.networks.modifiers.errors import CannotCompileError

_COMPILERS = ("g++", "clang++", "c++", "cl")


@dataclass(frozen=True, slots=True)
class Compiled:
    """Compiles it with one of torch's backends."""

    backend: str

    def alter(self, network: nn.Module) -> None:
        """See `nodes.sampling.conditioning.cond.Alteration`.

        Raises:
            CannotCompileError: the backend lacks what it needs here.
        """
        if self.backend == "cudagraphs" and not torch.cuda.is_available():
            raise CannotCompileError(self.backend, "an NVIDIA GPU")
        if self.backend == "inductor" and default_device().type == "cpu" and not _has_compiler():
            raise CannotCompileError(self.backend, "a C++ compiler (g++ or clang++)")
        network.compile(backend=self.backend)  # pyright: ignore[reportUnknownMemberType]


def _has_compiler() -> bool:
    named = os.environ.get("CXX")
    return any(shutil.which(name) for name in ([named] if named else _COMPILERS))
