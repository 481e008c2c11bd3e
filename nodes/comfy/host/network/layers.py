"""`comfy.ops`: layers for networks that packs build themselves.

Their weights are not drawn at random, for they are loaded from a file afterwards. The layers of
`manual_cast` use them in the dtype and on the device of what a layer is given. Both namespaces and
their layers are classes, from which packs derive their own.
"""

from collections.abc import Callable, Sequence
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
    offloadable: bool = False,
) -> tuple[Any, ...]:
    """Return a layer's weight and bias as its input is, or in a dtype and on a device.

    Either is None if the layer has none. With `offloadable`, a third value follows for
    `uncast_bias_weight`: None, for nothing has to be given back.
    """
    if input is not None:
        dtype, device = dtype or input.dtype, device or input.device
    weight = _cast(s, "weight", dtype, device)
    bias = _cast(s, "bias", bias_dtype or dtype, device)
    return (weight, bias, None) if offloadable else (weight, bias)


def uncast_bias_weight(s: object, weight: object, bias: object, offload_stream: object) -> None:
    """Do nothing: what `cast_bias_weight` gave is freed when nobody holds it."""


def _cast(
    layer: Any, name: str, dtype: torch.dtype | None, device: torch.device | None
) -> Tensor | None:
    value = getattr(layer, name, None)
    if value is None:
        return None
    value = value.to(device=device, dtype=dtype)
    for change in getattr(layer, f"{name}_function", ()):
        value = change(value)
    return value


class CastWeightBiasOp:
    """A layer that may change its weights just before it uses them."""

    comfy_cast_weights: bool = False
    """True if the weights are cast to the dtype and the device of the input."""
    weight_function: Sequence[Callable[[Tensor], Tensor]] = ()
    """Each changes the weight at every use, in this order, after it was cast."""
    bias_function: Sequence[Callable[[Tensor], Tensor]] = ()
    """Likewise for the bias."""


class _Layer(CastWeightBiasOp, nn.Module):
    """A layer whose weights stay as they are until they are loaded."""

    def reset_parameters(self) -> None:
        """Leave the weights as they are; a layer of a kind without bias has None for it."""
        if not hasattr(self, "bias"):
            self.register_parameter("bias", None)

    def forward(self, *args: Any, **more: Any) -> Tensor:
        """Return what torch's layer returns, with the weights cast or changed if need be."""
        if self.comfy_cast_weights or self.weight_function or self.bias_function:
            return self.forward_comfy_cast_weights(*args, **more)
        return super().forward(*args, **more)

    def forward_comfy_cast_weights(self, *args: Any, **more: Any) -> Tensor:
        """Return what `forward` returns, with the weights cast."""
        raise NotImplementedError


class _Convolution(_Layer):
    """A convolution, whatever its dimensions."""

    def forward_comfy_cast_weights(self: Any, input: Tensor) -> Tensor:
        """Return the convolution of [batch, channels, …], with the weights cast."""
        return self._conv_forward(input, *cast_bias_weight(self, input))


class _Transposed(_Layer):
    """A transposed convolution, whatever its dimensions."""

    def forward_comfy_cast_weights(
        self: Any, input: Tensor, output_size: list[int] | None = None
    ) -> Tensor:
        """Return the transposed convolution of [batch, channels, …], with the weights cast."""
        convolve = (functional.conv_transpose1d, functional.conv_transpose2d)
        dims = len(self.kernel_size)
        shape = self.stride, self.padding, self.kernel_size
        beyond = self._output_padding(input, output_size, *shape, dims, self.dilation)
        weight, bias = cast_bias_weight(self, input)
        return convolve[dims - 1](
            input, weight, bias, self.stride, self.padding, beyond, self.groups, self.dilation
        )


class disable_weight_init:  # noqa: N801 (ComfyUI's name)
    """Layers that use their weights as they are."""

    class Linear(_Layer, nn.Linear):
        """A linear layer."""

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            """Return [..., out_features] of [..., in_features], with the weights cast."""
            return functional.linear(input, *cast_bias_weight(self, input))

    class Conv1d(_Convolution, nn.Conv1d):
        """A convolution of [batch, channels, length]."""

    class Conv2d(_Convolution, nn.Conv2d):
        """A convolution of [batch, channels, h, w]."""

    class Conv3d(_Convolution, nn.Conv3d):
        """A convolution of [batch, channels, frames, h, w]."""

    class ConvTranspose1d(_Transposed, nn.ConvTranspose1d):
        """A transposed convolution of [batch, channels, length]."""

    class ConvTranspose2d(_Transposed, nn.ConvTranspose2d):
        """A transposed convolution of [batch, channels, h, w]."""

    class GroupNorm(_Layer, nn.GroupNorm):
        """Normalization over groups of channels."""

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            """Return the normalized input, [batch, channels, …], with the weights cast."""
            weight, bias = cast_bias_weight(self, input)
            return functional.group_norm(input, self.num_groups, weight, bias, self.eps)

    class LayerNorm(_Layer, nn.LayerNorm):
        """Normalization over the last dimensions."""

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            """Return the normalized input, with the weights cast."""
            weight, bias = cast_bias_weight(self, input)
            return functional.layer_norm(input, self.normalized_shape, weight, bias, self.eps)

    class RMSNorm(_Layer, nn.RMSNorm):
        """Division by the root mean square over the last dimensions."""

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            """Return the normalized input, with the weight cast."""
            weight, _ = cast_bias_weight(self, input)
            return functional.rms_norm(input, self.normalized_shape, weight, self.eps)

    class Embedding(_Layer, nn.Embedding):
        """A table of vectors."""

        def forward(self, input: Tensor, out_dtype: torch.dtype | None = None) -> Tensor:
            """Return [..., dim] for indices of any shape."""
            if self.comfy_cast_weights or self.weight_function:
                return self.forward_comfy_cast_weights(input, out_dtype=out_dtype)
            found = nn.Embedding.forward(self, input)
            return found if out_dtype is None else found.to(out_dtype)

        def forward_comfy_cast_weights(
            self, input: Tensor, out_dtype: torch.dtype | None = None
        ) -> Tensor:
            """Return [..., dim] for indices of any shape, with the weight cast."""
            weight, _ = cast_bias_weight(self, device=input.device, dtype=out_dtype)
            return functional.embedding(
                input,
                weight,
                self.padding_idx,
                self.max_norm,
                self.norm_type,
                self.scale_grad_by_freq,
                self.sparse,
            )

    @classmethod
    def conv_nd(cls, dims: int, *args: Any, **more: Any) -> nn.Module:
        """Return a convolution over so many dimensions, of a derived namespace its own."""
        return getattr(cls, f"Conv{dims}d")(*args, **more)


class manual_cast(disable_weight_init):  # noqa: N801 (ComfyUI's name)
    """Layers that cast their weights to the dtype and the device of their input."""

    class Linear(disable_weight_init.Linear):
        """A linear layer."""

        comfy_cast_weights = True

    class Conv1d(disable_weight_init.Conv1d):
        """A convolution of [batch, channels, length]."""

        comfy_cast_weights = True

    class Conv2d(disable_weight_init.Conv2d):
        """A convolution of [batch, channels, h, w]."""

        comfy_cast_weights = True

    class Conv3d(disable_weight_init.Conv3d):
        """A convolution of [batch, channels, frames, h, w]."""

        comfy_cast_weights = True

    class ConvTranspose1d(disable_weight_init.ConvTranspose1d):
        """A transposed convolution of [batch, channels, length]."""

        comfy_cast_weights = True

    class ConvTranspose2d(disable_weight_init.ConvTranspose2d):
        """A transposed convolution of [batch, channels, h, w]."""

        comfy_cast_weights = True

    class GroupNorm(disable_weight_init.GroupNorm):
        """Normalization over groups of channels."""

        comfy_cast_weights = True

    class LayerNorm(disable_weight_init.LayerNorm):
        """Normalization over the last dimensions."""

        comfy_cast_weights = True

    class RMSNorm(disable_weight_init.RMSNorm):
        """Division by the root mean square over the last dimensions."""

        comfy_cast_weights = True

    class Embedding(disable_weight_init.Embedding):
        """A table of vectors."""

        comfy_cast_weights = True


def pick_operations(
    weight_dtype: torch.dtype | None, compute_dtype: torch.dtype | None, *_more: Any, **_rest: Any
) -> type[disable_weight_init]:
    """Return the layers for weights of one dtype that compute in another."""
    same = compute_dtype is None or weight_dtype == compute_dtype
    return disable_weight_init if same else manual_cast
