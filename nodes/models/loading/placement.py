"""Where a network computes, in which precision, and how its weights are kept until then."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from nodegraph.runtime.devices import default_device
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.networks.factory import network_class
from nodes.models.weights.header import TensorInfo

_NARROW: Mapping[str, torch.dtype] = {
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
"""Dtypes that nothing is computed in, by their names in a file's header."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how."""

    device: torch.device
    dtype: torch.dtype
    """What is computed in."""
    narrow: torch.dtype | None = None
    """What all weights are rounded to, and matrices kept in; None: as the file has them."""
    keeps: bool = False
    """Whether matrices that are narrow in the file stay so."""

    def nbytes(self, info: TensorInfo) -> int:
        """What a tensor of the file takes, if it is a matrix."""
        if info.is_packed and self.keeps:
            return info.nbytes
        return info.numel * self.kept(info).itemsize

    def kept(self, info: TensorInfo) -> torch.dtype:
        """What a tensor of the file becomes, if it is a matrix."""
        stored = _NARROW.get(info.dtype) if self.keeps else None
        return self.narrow or stored or self.dtype


def default_placement(
    spec: NetworkSpec, narrow: torch.dtype | None = None, *, on_cpu: bool = False
) -> Placement:
    """The best device unless it must be the CPU, and there the precision that the network bears.

    On CUDA that is the network's own half precision, elsewhere float32.
    """
    network = network_class(spec.kind)
    device = torch.device("cpu") if on_cpu else default_device()
    dtype = network.half_dtype if device.type == "cuda" else torch.float32
    return Placement(device, dtype, narrow, network.keeps_narrow)
