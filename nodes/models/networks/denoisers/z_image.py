"""The transformer of Z-Image (Tongyi Lab 2025, arXiv:2511.22699)."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.patchify import PATCH, pad_within
from nodes.models.networks.base.text_inputs import text
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch

LAYER = "layer {}"
"""The part of the residuals for a layer, by its number."""


class ZImageConfig(Protocol):
    """The entries of a configuration that are read here."""

    cap_feat_dim: int
    axes_lens: Sequence[int]


class ZImage(Protocol):
    """The interface of diffusers' Z-Image transformer."""

    config: ZImageConfig

    def __call__(
        self,
        x: list[Tensor],
        t: Tensor,
        cap_feats: list[Tensor],
        *,
        controlnet_block_samples: dict[int, Tensor] | None,
        return_dict: bool,
    ) -> tuple[list[Tensor]]:
        """Return the negative velocity of each sample, [channels, 1, height, width] as `x`.

        Args:
            x: one latent a sample.
            t: [batch]: 0 for noise alone, 1 for the clean latent.
            cap_feats: one text a sample, [length, dim].
            controlnet_block_samples: what is added to the output of layers, by their numbers.
            return_dict: False for a tuple.
        """
        ...


class ZImageAdapter:
    """Calls a Z-Image transformer; see `nodes.models.networks.base.builder.Adapter`."""

    repeats_text = False
    patch_pixels = 1
    concat_raw = False

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return the condition unchanged: Z-Image reads the texts alone."""
        del size, branch
        return cond

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """Run the transformer, and return the velocity.

        Raises:
            SizeLimitError: the model has no positions for so many patches.
            WrongConditioningError: text encoders of another family made the conditions.
        """
        model = cast("ZImage", module)
        height, width = x.shape[-2:]
        largest = min(model.config.axes_lens[1:]) * PATCH
        latent = pad_within(x, PATCH, largest)
        tokens = text(cond, x, model.config.cap_feat_dim)
        samples = list(latent.unsqueeze(2).unbind())
        (output,) = model(
            samples,
            1 - timestep,
            list(tokens.unbind()),
            controlnet_block_samples=_residuals(cond) or None,
            return_dict=False,
        )
        return -torch.stack(output).squeeze(2)[..., :height, :width]


def _residuals(cond: CondBatch) -> dict[int, Tensor]:
    """Return the residuals of ControlNets, by the numbers of the layers that they are for."""
    return {
        int(part.removeprefix(LAYER.format(""))): state for part, (state,) in cond.residuals.items()
    }


def builder() -> Build:
    """Return the function that builds the network."""
    from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel

    def build(config: dict[str, Any]) -> nn.Module:
        return cast("nn.Module", ZImageTransformer2DModel(**config))

    return build


NETWORK = NetworkClass(
    "z_image",
    "transformer",
    builder,
    adapter=ZImageAdapter(),
    half_dtype=torch.bfloat16,  # its numbers grow too large for float16
    keeps_quantized=True,
    repeated_blocks=("ZImageTransformerBlock",),
)
