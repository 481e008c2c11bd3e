"""The transformer of LongCat-Image (Meituan LongCat Team 2025, arXiv:2512.07584)."""

from functools import cache
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.patchify import PATCH, pad_to_patch, patchify, positions, unpatchify
from nodes.models.networks.base.text_inputs import text
from nodes.models.networks.denoisers.flux import ExactTimestep
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch

_START = (1, 512, 512)
"""The position of a picture's first patch: its number, row and column; texts are number 0."""


class LongCatImageConfig(Protocol):
    """The entries of a configuration that are read here."""

    joint_attention_dim: int


class LongCatImage(Protocol):
    """The interface of diffusers' LongCat-Image transformer."""

    config: LongCatImageConfig

    def __call__(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        timestep: ExactTimestep,
        *,
        img_ids: Tensor,
        txt_ids: Tensor,
        return_dict: bool,
    ) -> tuple[Tensor]:
        """Return the velocity of every patch, shaped as `hidden_states`."""
        ...


class LongCatImageAdapter:
    """Calls a LongCat-Image transformer; see `nodes.models.networks.base.builder.Adapter`."""

    repeats_text = False
    patch_pixels = PATCH**2
    concat_raw = False

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return the condition unchanged: LongCat-Image reads the texts alone."""
        del size, branch
        return cond

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """Run the transformer, and return the velocity.

        Raises:
            WrongConditioningError: text encoders of another family made the conditions.
        """
        model = cast("LongCatImage", module)
        height, width = x.shape[-2:]
        latent = pad_to_patch(x, PATCH)
        tokens = text(cond, x, model.config.joint_attention_dim)
        (output,) = model(
            patchify(latent),
            tokens,
            ExactTimestep(timestep),
            img_ids=positions(latent, _START),
            txt_ids=_text_positions(tokens.shape[1], x.device),
            return_dict=False,
        )
        return unpatchify(output, latent.shape[-2])[..., :height, :width]


def _text_positions(length: int, device: torch.device) -> Tensor:
    """Return the positions of a text's tokens, which count rows and columns: [length, 3]."""
    place = torch.arange(length, device=device).float()
    return torch.stack([torch.zeros_like(place), place, place], dim=-1)


@cache
def builder() -> Build:
    """Return the function that builds the network."""
    from diffusers.models.transformers.transformer_longcat_image import (
        LongCatImageTransformer2DModel,
    )

    def build(config: dict[str, Any]) -> nn.Module:
        return cast("nn.Module", LongCatImageTransformer2DModel(**config))

    return build


NETWORK = NetworkClass(
    "longcat_image",
    "transformer",
    builder,
    adapter=LongCatImageAdapter(),
    half_dtype=torch.bfloat16,  # its numbers grow too large for float16
    keeps_quantized=True,
    repeated_blocks=("LongCatImageTransformerBlock", "LongCatImageSingleTransformerBlock"),
)
