"""InstantX's ControlNets for Qwen-Image: some of its blocks, which also read a hint's latent."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from nodes.models.families.base.spec import Config
from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.control_hint import ControlHint
from nodes.models.networks.base.patchify import PATCH, pad_to_patch, patchify, spread
from nodes.models.networks.base.text_inputs import text
from nodes.models.networks.denoisers.flux import ExactTimestep
from nodes.models.networks.denoisers.qwen_image import (
    QwenImageConfig,
    Shape,
    keep_exact,
    shape_in_patches,
)
from nodes.sampling.conditioning.cond import ControlCall, Residuals


class QwenImageControlNet(Protocol):
    """The interface of diffusers' ControlNet for Qwen-Image."""

    config: QwenImageConfig

    def __call__(
        self,
        hidden_states: Tensor,
        controlnet_cond: Tensor,
        *,
        encoder_hidden_states: Tensor,
        timestep: ExactTimestep,
        img_shapes: list[list[Shape]],
        return_dict: bool,
    ) -> Sequence[Tensor]:
        """Return the residuals of its blocks."""
        ...


class Steered(Protocol):
    """The blocks of the transformer, which are counted here."""

    transformer_blocks: nn.ModuleList


class QwenImageControl:
    """Calls one of them; see `nodes.models.networks.base.builder.ControlAdapter`."""

    reads_latent = True

    def fits(self, config: Config, model: Mapping[str, object]) -> bool:
        """Return True for a transformer of the same width that reads the same text.

        One that makes layers is none of them: residuals are for a single picture.
        """
        if model.get("use_layer3d_rope"):
            return False
        same = ("num_attention_heads", "attention_head_dim", "joint_attention_dim", "in_channels")
        return "axes_dims_rope" in model and all(model.get(key) == config[key] for key in same)

    def hint(self, config: Config, hint: ControlHint, call: ControlCall) -> Tensor:
        """Return the latent's patches, for inpainting with the mask's."""
        height, width = (side + -side % PATCH for side in call.x.shape[-2:])
        latent = hint.latent(height, width, call.latents)
        if config["extra_condition_channels"]:
            kept = hint.visible_mask(height, width).to(latent)
            latent = torch.cat([latent, kept.expand(len(latent), -1, -1, -1)], dim=1)
        return patchify(latent)

    def residuals(
        self, module: nn.Module, call: ControlCall, hint: Tensor, kind: int | None
    ) -> Residuals:
        """Return the residuals of each block.

        Raises:
            WrongConditioningError: text encoders of another family made the conditions.
        """
        del kind
        net, steered = cast("QwenImageControlNet", module), cast("Steered", call.module)
        latent = pad_to_patch(call.x[:, : call.latents.channels], PATCH)
        states = net(
            patchify(latent),
            hint,
            encoder_hidden_states=text(call.cond, call.x, net.config.joint_attention_dim),
            timestep=ExactTimestep(call.timestep),
            img_shapes=[[shape_in_patches(latent)]] * len(latent),
            return_dict=False,
        )
        return {"blocks": spread(states, len(steered.transformer_blocks))}


@cache
def builder() -> Build:
    """Return the function that builds the network."""
    from diffusers.models.controlnets.controlnet_qwenimage import QwenImageControlNetModel

    def build(config: dict[str, Any]) -> nn.Module:
        return keep_exact(cast("nn.Module", QwenImageControlNetModel(**config)), config)

    return build


NETWORK = NetworkClass(
    "qwen_image_controlnet",
    "ControlNet",
    builder,
    control=QwenImageControl(),
    half_dtype=torch.bfloat16,  # its numbers grow too large for float16
    keeps_quantized=True,
)
