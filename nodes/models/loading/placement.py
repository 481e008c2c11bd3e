"""The placement of a network: its device, its precision, and how its weights are stored."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nodegraph.runtime.devices import computing_dtype, default_device, prefers_channels_last
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.networks.factory import network_class
from nodes.models.weights.quantized import QuantizedTensor
from nodes.models.weights.tensor_info import TensorInfo

_STORAGE_DTYPES: Mapping[str, torch.dtype] = {
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
"""Dtypes that nothing is computed in, by their names in a file's header."""


_DTYPES: Mapping[str, torch.dtype] = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    **_STORAGE_DTYPES,
}


@dataclass(frozen=True, slots=True)
class Placement:
    """The device, the precision and the storage of a network's weights."""

    device: torch.device
    dtype: torch.dtype
    """The precision of the computation."""
    storage_dtype: torch.dtype | None = None
    """The dtype that weights are rounded to and matrices stored in; None: as the file has them."""
    keeps_quantized: bool = False
    """True if matrices that the file has in fp8 or quantized are stored so in memory."""
    channels_last: bool = False
    """True if the weights of convolutions lie in memory with their channels last."""

    def lay_out(self, weight: Tensor) -> Tensor:
        """Return a weight in the order in memory that it is computed with.

        It is the same tensor if it lies so, or is quantized or no convolution's, [out, in, h, w].
        """
        if not self.channels_last or weight.ndim != 4 or isinstance(weight, QuantizedTensor):
            return weight
        return weight.contiguous(memory_format=torch.channels_last)

    def nbytes(self, info: TensorInfo) -> int:
        """Return the bytes that a matrix of the file takes in memory."""
        if info.is_quantized and self.keeps_quantized:
            return info.nbytes
        return info.numel * self.storage_dtype_of(info).itemsize

    def keeps_stored(self, info: TensorInfo) -> bool:
        """Return True if a matrix is kept as the file stores it, with no conversion."""
        if info.is_quantized:
            return self.keeps_quantized
        return _DTYPES.get(info.dtype) == self.storage_dtype_of(info)

    def rounds(self, info: TensorInfo) -> bool:
        """Return True if the file has a plain weight in numbers that `dtype` does not have all of.

        One that is stored in another dtype than it is computed in is meant to be rounded.
        """
        stored = _DTYPES.get(info.dtype, self.dtype)
        if self.storage_dtype_of(info) != self.dtype or stored.itemsize < self.dtype.itemsize:
            return False
        return stored != self.dtype

    def storage_dtype_of(self, info: TensorInfo) -> torch.dtype:
        """Return the dtype that a matrix of the file is stored in."""
        stored = _STORAGE_DTYPES.get(info.dtype) if self.keeps_quantized else None
        return self.storage_dtype or stored or self.dtype


def default_placement(
    spec: NetworkSpec, storage_dtype: torch.dtype | None = None, *, on_cpu: bool = False
) -> Placement:
    """Return the placement of a network on the best device, or on the CPU.

    The precision is the network's half precision where the device computes in it, another one of
    the network's where it lacks bfloat16, else float32.
    """
    network = network_class(spec.kind)
    device = torch.device("cpu") if on_cpu else default_device()
    instead = torch.float16 if spec.fits_float16 else network.without_bfloat16
    dtype = computing_dtype(device, network.half_dtype, instead)
    channels_last = network.convolves and prefers_channels_last(device)
    return Placement(device, dtype, storage_dtype, network.keeps_quantized, channels_last)
