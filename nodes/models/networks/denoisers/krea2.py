"""The transformer of Krea 2 (Krea 2026, https://github.com/krea-ai/krea-2)."""

from functools import cache
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.patchify import PATCH, pad_to_patch, patchify, positions, unpatchify
from nodes.models.networks.base.text_inputs import text
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch


class Krea2Config(Protocol):
    """The entries of a configuration that are read here."""

    num_text_layers: int
    text_hidden_dim: int


class Krea2(Protocol):
    """The interface of diffusers' Krea 2 transformer."""

    config: Krea2Config

    def __call__(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        timestep: Tensor,
        position_ids: Tensor,
        *,
        return_dict: bool,
    ) -> tuple[Tensor]:
        """Return the velocity of every patch, shaped as `hidden_states`.

        Args:
            hidden_states: [batch, patches, channels].
            encoder_hidden_states: [batch, tokens, layers, width].
            timestep: [batch] float32: 1 for noise alone, 0 for the clean latent.
            position_ids: [tokens + patches, 3]: picture, row and column; zeros for the text.
            return_dict: False for a tuple.
        """
        ...


class Krea2Adapter:
    """Calls a Krea 2 transformer; see `nodes.models.networks.base.builder.Adapter`."""

    repeats_text = False
    patch_pixels = PATCH**2
    concat_raw = False

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return the condition unchanged: Krea 2 reads the texts alone."""
        del size, branch
        return cond

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """Run the transformer, and return the velocity.

        Raises:
            WrongConditioningError: text encoders of another family made the conditions.
        """
        model = cast("Krea2", module)
        height, width = x.shape[-2:]
        latent = pad_to_patch(x, PATCH)
        layers, states = model.config.num_text_layers, model.config.text_hidden_dim
        tokens = text(cond, x, layers * states)
        (output,) = model(
            patchify(latent),
            tokens.reshape(*tokens.shape[:2], layers, states),
            timestep,
            functional.pad(positions(latent), (0, 0, tokens.shape[1], 0)),
            return_dict=False,
        )
        return unpatchify(output, latent.shape[-2])[..., :height, :width]


@cache
def builder() -> Build:
    """Return the function that builds the network, whose classes are made once."""
    from diffusers.models.transformers.transformer_krea2 import (
        Krea2RMSNorm,
        Krea2Transformer2DModel,
    )

    class ExactNorm(Krea2RMSNorm):
        """The norm, whose weights are added to 1 in float32, whatever dtype they have."""

        def forward(self, hidden_states: Tensor) -> Tensor:
            """Norm [..., width]."""
            weight = self.weight.float() + 1.0
            normed = functional.rms_norm(hidden_states.float(), (self.dim,), weight, self.eps)
            return normed.to(hidden_states.dtype)

    def build(config: dict[str, Any]) -> nn.Module:
        model = cast("nn.Module", Krea2Transformer2DModel(**config))
        for module in list(model.modules()):
            for name, child in module.named_children():
                if isinstance(child, Krea2RMSNorm):
                    setattr(module, name, ExactNorm(child.dim, child.eps))
        return model

    return build


NETWORK = NetworkClass(
    "krea2",
    "transformer",
    builder,
    adapter=Krea2Adapter(),
    half_dtype=torch.bfloat16,  # its numbers grow too large for float16
    keeps_quantized=True,
    repeated_blocks=("Krea2TransformerBlock",),
)
