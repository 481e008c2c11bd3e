"""Compilation of a network by torch, when it is first called."""

import os
import shutil
from dataclasses import dataclass

from torch import nn

from nodegraph.runtime.devices import captures_graphs, default_device
from nodes.models.weights.errors import UnavailableHereError

_COMPILERS = ("g++", "clang++", "c++", "cl")
_HINT = "Use the other backend, or take the node out."


@dataclass(frozen=True, slots=True)
class TorchCompile:
    """Compiles the network with one of torch's backends."""

    backend: str

    def alter(self, network: nn.Module) -> None:
        """Change a network; see `nodes.sampling.conditioning.cond.Alteration`.

        Raises:
            UnavailableHereError: the backend lacks what it needs here.
        """
        if self.backend == "cudagraphs" and not captures_graphs(default_device()):
            raise UnavailableHereError(
                code="cannot_compile",
                what=f"the backend {self.backend!r}",
                reason="it needs an NVIDIA GPU",
                hint=_HINT,
            )
        if self.backend == "inductor" and default_device().type == "cpu" and not _has_compiler():
            raise UnavailableHereError(
                code="cannot_compile",
                what=f"the backend {self.backend!r}",
                reason="it needs a C++ compiler (g++ or clang++)",
                hint=_HINT,
            )
        network.compile(backend=self.backend)  # pyright: ignore[reportUnknownMemberType]


def _has_compiler() -> bool:
    named = os.environ.get("CXX")
    return any(shutil.which(name) for name in ([named] if named else _COMPILERS))
