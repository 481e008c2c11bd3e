"""The transformer of FLUX.3 (Black Forest Labs 2026), by diffusers' `Flux3Transformer2DModel`."""

from dataclasses import replace
from functools import cache, lru_cache
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.errors import TooManyReferencesError
from nodes.models.networks.base.jumps import target_of
from nodes.models.networks.base.reference_latents import latents_of, name_references
from nodes.models.networks.base.text_inputs import text
from nodes.models.networks.denoisers.flux import ExactTimestep
from nodes.models.residency.units import Parts
from nodes.sampling.conditioning.cond import REFERENCES, Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch

MOST_REFERENCES = 10
"""The reference pictures that the model was trained with at most."""
_SPACING = 0.5
"""The distance of neighbouring patches' positions."""


class Flux3Config(Protocol):
    """The entries of a configuration that are read here."""

    joint_attention_dim: int
    flow_map: bool


class Flux3(Protocol):
    """The interface of diffusers' FLUX.3 transformer."""

    config: Flux3Config

    def __call__(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        *,
        timestep: ExactTimestep,
        img_ids: Tensor,
        txt_ids: Tensor,
        image_cond_hidden_states: Tensor | None,
        image_cond_ids: Tensor | None,
        target_timestep: ExactTimestep | None,
        return_dict: bool,
    ) -> tuple[Tensor]:
        """Return the velocity of every patch, shaped as `hidden_states`.

        Args:
            hidden_states: [batch, patches, channels].
            encoder_hidden_states: [batch, length, joint_attention_dim].
            timestep: 1 for noise alone, 0 for the clean latent.
            img_ids: [patches, 4], each patch's position: 0, row, column, and 0.
            txt_ids: [length, 4], each token's: three zeros, and its number.
            image_cond_hidden_states: the patches of all reference pictures; None without.
            image_cond_ids: their positions, which end in -1 for the first picture, -2 …
            target_timestep: that which the step jumps to; None if it is no flow map.
            return_dict: False for a tuple.
        """
        ...


class Flux3Adapter:
    """Calls a FLUX.3 transformer; see `nodes.models.networks.base.builder.Adapter`."""

    repeats_text = False
    patch_pixels = 1
    concat_raw = False

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return a condition with the reference latents as tensors.

        Raises:
            TooManyReferencesError: there are more than the model was trained with.
        """
        del size, branch
        references = cast("tuple[Tensor, ...]", cond.extras.get(REFERENCES, ()))
        if len(references) > MOST_REFERENCES:
            raise TooManyReferencesError(len(references), MOST_REFERENCES)
        return replace(cond, extras=name_references(cond.extras))

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """Run the transformer, and return the velocity.

        Raises:
            WrongConditioningError: text encoders of another family made the conditions.
        """
        model = cast("Flux3", module)
        tokens = text(cond, x, model.config.joint_attention_dim)
        references, places = _references(cond, x)
        target = ExactTimestep(target_of(cond.extras, timestep)) if model.config.flow_map else None
        (output,) = model(
            _patches(x),
            tokens,
            timestep=ExactTimestep(timestep),
            img_ids=_grid(*x.shape[-2:], 0, x.device),
            txt_ids=_line(tokens.shape[1], x.device),
            image_cond_hidden_states=references,
            image_cond_ids=places,
            target_timestep=target,
            return_dict=False,
        )
        return output.transpose(1, 2).reshape(x.shape)


def _references(cond: CondBatch, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Return the patches of reference pictures, one after the other, and their positions."""
    latents = latents_of(cond.extras, x)
    if not latents:
        return None, None
    places = [_grid(*each.shape[-2:], -n, x.device) for n, each in enumerate(latents, 1)]
    return torch.cat([_patches(each) for each in latents], dim=1), torch.cat(places)


def _patches(latent: Tensor) -> Tensor:
    """Return the patches of a latent by row: [batch, c, h, w] to [batch, h * w, c]."""
    return latent.flatten(2).transpose(1, 2)


@lru_cache(maxsize=32)
def _grid(rows: int, columns: int, picture: int, device: torch.device) -> Tensor:
    """Return the positions of a picture's patches, [rows * columns, 4] float32.

    Args:
        rows: of patches.
        columns: of patches.
        picture: its number.
        device: of the result, which is made once, as steps have the same sizes.
    """
    row, column = torch.meshgrid(
        torch.arange(rows, device=device) * _SPACING,
        torch.arange(columns, device=device) * _SPACING,
        indexing="ij",
    )
    places = (torch.zeros_like(row), row, column, torch.full_like(row, picture))
    return torch.stack(places, dim=-1).reshape(-1, 4)


@lru_cache(maxsize=16)
def _line(length: int, device: torch.device) -> Tensor:
    """Return the positions of a text's tokens, [length, 4] float32."""
    number = torch.arange(length, device=device).float()
    return functional.pad(number[:, None], (3, 0))


@cache
def builder() -> Build:
    """Return the function that builds the network, whose classes are made once."""
    from diffusers.models.transformers.transformer_flux3 import (
        Flux3Attention,
        Flux3Transformer2DModel,
    )

    class WideNorm(nn.RMSNorm):
        """A norm of float32 numbers, whatever precision its weight is stored in."""

        weight: Tensor

        def forward(self, x: Tensor) -> Tensor:
            """Return x normed along its last dimension."""
            weight = self.weight.to(x.dtype)
            return functional.rms_norm(x, self.normalized_shape, weight, self.eps)

    def build(config: dict[str, Any]) -> nn.Module:
        model = cast("nn.Module", Flux3Transformer2DModel(**config))
        for module in model.modules():
            if isinstance(module, Flux3Attention):
                head, eps = module.head_dim, module.norm_q.eps
                module.norm_q, module.norm_k = WideNorm(head, eps=eps), WideNorm(head, eps=eps)
        return model

    return build


NETWORK = NetworkClass(
    "flux3",
    "transformer",
    builder,
    adapter=Flux3Adapter(),
    half_dtype=torch.bfloat16,  # as for FLUX.1, whose numbers grow too large for float16
    keeps_quantized=True,
    flow_map="flow_map",
    repeated_blocks=("Flux3ModeTransformerBlock", "Flux3SingleTransformerBlock"),
    parts=Parts(seldom=("mode_blocks.image_cond.*", "*x_embedders.image_cond", "*s.image_cond")),
)
