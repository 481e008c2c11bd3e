"""`comfy.ops`: layers for networks that packs build themselves.

Their weights are not drawn at random, for they are loaded from a file afterwards, and are used in
the dtype and on the device of what a layer is given.
"""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.comfy.host.comfy.model_management import cast_to as cast_to


def cast_to_input(
    weight: Tensor, input: Tensor, non_blocking: bool = False, copy: bool = True
) -> Tensor:
    """Return a weight in the dtype and on the device of a layer's input."""
    return weight.to(input, non_blocking=non_blocking, copy=copy)


def cast_bias_weight(
    s: Any,
    input: Tensor | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
    bias_dtype: torch.dtype | None = None,
) -> tuple[Tensor | None, Tensor | None]:
    """Return a layer's weight and bias as its input is, or in a dtype and on a device."""
    if input is not None:
        dtype, device = dtype or input.dtype, device or input.device
    weight, bias = getattr(s, "weight", None), getattr(s, "bias", None)
    return (
        None if weight is None else weight.to(device=device, dtype=dtype),
        None if bias is None else bias.to(device=device, dtype=bias_dtype or dtype),
    )


class _Layer(nn.Module):
    """A layer whose weights stay as they are until they are loaded."""

    comfy_cast_weights = False

    def reset_parameters(self) -> None:
        """Leave the weights as they are."""


class Linear(_Layer, nn.Linear):
    """A linear layer."""

    def forward(self, input: Tensor) -> Tensor:
        """Return [..., out_features] of [..., in_features]."""
        weight, bias = cast_bias_weight(self, input)
        assert weight is not None
        return functional.linear(input, weight, bias)


class _Convolution(_Layer):
    """A convolution, whatever its dimensions."""

    def forward(self: Any, input: Tensor) -> Tensor:
        """Return the convolution of [batch, channels, …]."""
        return self._conv_forward(input, *cast_bias_weight(self, input))


class Conv1d(_Convolution, nn.Conv1d):
    """A convolution of [batch, channels, length]."""


class Conv2d(_Convolution, nn.Conv2d):
    """A convolution of [batch, channels, h, w]."""


class Conv3d(_Convolution, nn.Conv3d):
    """A convolution of [batch, channels, frames, h, w]."""


class GroupNorm(_Layer, nn.GroupNorm):
    """Normalization over groups of channels."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalized input, [batch, channels, …]."""
        weight, bias = cast_bias_weight(self, input)
        return functional.group_norm(input, self.num_groups, weight, bias, self.eps)


class LayerNorm(_Layer, nn.LayerNorm):
    """Normalization over the last dimensions."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalized input."""
        weight, bias = cast_bias_weight(self, input)
        return functional.layer_norm(input, self.normalized_shape, weight, bias, self.eps)


class Embedding(_Layer, nn.Embedding):
    """A table of vectors."""

    def forward(self, input: Tensor, out_dtype: torch.dtype | None = None) -> Tensor:
        """Return [..., dim] for indices of any shape."""
        found = super().forward(input)
        return found if out_dtype is None else found.to(out_dtype)


_KINDS = (Linear, Conv1d, Conv2d, Conv3d, GroupNorm, LayerNorm, Embedding)


def _conv_nd(namespace: SimpleNamespace, dims: int, *args: Any, **more: Any) -> nn.Module:
    """Return a convolution over so many dimensions."""
    return getattr(namespace, f"Conv{dims}d")(*args, **more)


def _namespace(*, casts: bool) -> SimpleNamespace:
    attributes = {"comfy_cast_weights": casts}
    made = SimpleNamespace(
        **{kind.__name__: type(kind.__name__, (kind,), attributes) for kind in _KINDS}
    )
    made.conv_nd = lambda dims, *args, **more: _conv_nd(made, dims, *args, **more)
    return made


disable_weight_init = _namespace(casts=False)
manual_cast = _namespace(casts=True)


def pick_operations(
    weight_dtype: torch.dtype | None, compute_dtype: torch.dtype | None, *_more: Any, **_rest: Any
) -> SimpleNamespace:
    """Return the layers for weights of one dtype that compute in another."""
    same = compute_dtype is None or weight_dtype == compute_dtype
    return disable_weight_init if same else manual_cast
