"""Matrices in fp8 that are multiplied as they are, by inputs that are rounded to fp8, too."""

from dataclasses import dataclass
from typing import Any, TypeGuard, cast

import torch
from torch import Tensor, nn

from nodegraph.runtime.devices import default_device, multiplies_fp8
from nodes.models.weights.quantized import QuantizedTensor, ScaledFp8

FP8 = torch.float8_e4m3fn
_LARGEST = 448.0
"""The largest number of `FP8`."""
_SIDE = 16
"""Matrices are multiplied whose sides are multiples of this."""
_HALVES = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, slots=True)
class Fp8Matmul:
    """Lets linear layers multiply in fp8, on devices that can.

    Layers are computed as ever if their weights are not plain fp8 numbers (those that a LoRA
    changes are not), or if the network computes in float32.
    """

    def alter(self, network: nn.Module) -> None:
        """Change a network; see `nodes.sampling.conditioning.cond.Alteration`."""
        if not multiplies_fp8(default_device()):
            return
        for module in network.modules():
            if type(module) is nn.Linear:
                module.__class__ = _Fp8Linear


class _Fp8Linear(nn.Linear):
    """A linear layer that multiplies in fp8 if its weight is stored so."""

    def forward(self, input: Tensor) -> Tensor:
        """Map [..., in] to [..., out]."""
        weight: Tensor = self.weight
        if not _is_plain_fp8(weight):
            return super().forward(input)
        return multiply(input, weight, self.bias)


def multiply(x: Tensor, weight: QuantizedTensor, bias: Tensor | None) -> Tensor:
    """Return `x @ weight.T + bias`, computed in fp8 with sums in float32.

    Args:
        x: [..., in] float16 or bfloat16; rounded to fp8 after one scale for all of it, by which
            its largest number becomes the largest of fp8.
        weight: [out, in] in fp8, to be computed with in the dtype of `x`.
        bias: [out].
    """
    rows = x.reshape(-1, x.shape[-1])
    scale = (rows.abs().amax().float() / _LARGEST).clamp(min=torch.finfo(torch.float32).tiny)
    own = cast("ScaledFp8", weight.quantization).scale
    product = cast("Any", torch)._scaled_mm(  # noqa: SLF001 - torch has no other
        (rows / scale).to(FP8),
        weight.packed.t(),
        scale_a=scale.reshape(1),
        scale_b=torch.ones(1, device=x.device) if own is None else own,
        bias=bias,
        out_dtype=weight.dtype,
    )
    return cast("Tensor", product).reshape(*x.shape[:-1], weight.shape[0])


def _is_plain_fp8(weight: Tensor) -> TypeGuard[QuantizedTensor]:
    return (
        isinstance(weight, QuantizedTensor)
        and isinstance(weight.quantization, ScaledFp8)
        and weight.packed.dtype == FP8
        and weight.dtype in _HALVES
        and not any(side % _SIDE for side in weight.shape)
    )
