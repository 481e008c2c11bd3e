"""ControlNets for SD3 and SD3.5: some of the transformer's blocks, which also read a latent."""

from collections.abc import Mapping
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from nodes.models.families.base.spec import Config
from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.control_hint import ControlHint
from nodes.models.networks.base.patchify import pad_to_patch, spread
from nodes.models.networks.base.text_inputs import pooled_or_zeros, text
from nodes.sampling.conditioning.cond import ControlCall, Residuals


class Sizes(Protocol):
    """The entries of a configuration that are read here."""

    patch_size: int
    pooled_projection_dim: int
    joint_attention_dim: int | None
    use_pos_embed: bool


class SD3ControlNet(Protocol):
    """The interface of diffusers' ControlNet for SD3."""

    config: Sizes

    def __call__(
        self,
        hidden_states: Tensor,
        controlnet_cond: Tensor,
        *,
        encoder_hidden_states: Tensor | None,
        pooled_projections: Tensor,
        timestep: Tensor,
        return_dict: bool,
    ) -> tuple[list[Tensor]]:
        """Return the residuals of its blocks."""
        ...


class Steered(Protocol):
    """The parts of the transformer that its ControlNets use."""

    pos_embed: nn.Module
    transformer_blocks: nn.ModuleList


class SD3Control:
    """Calls a ControlNet for SD3; see `nodes.models.networks.base.builder.ControlAdapter`."""

    reads_latent = True

    def fits(self, config: Config, model: Mapping[str, object]) -> bool:
        """Return True for a transformer of the same width that reads the same text."""
        return model.get("num_attention_heads") == config["num_attention_heads"] and (
            "dual_attention_layers" in model
            and config["joint_attention_dim"] in (None, model.get("joint_attention_dim"))
        )

    def hint(self, config: Config, hint: ControlHint, call: ControlCall) -> Tensor:
        """Return the latent, for inpainting with the mask."""
        height, width = call.x.shape[-2:]
        latent = hint.latent(height, width, call.latents)
        if not config["extra_conditioning_channels"]:
            return latent
        kept = hint.visible_mask(height, width).to(latent)
        return torch.cat([latent, kept.expand(len(latent), -1, -1, -1)], dim=1)

    def residuals(
        self, module: nn.Module, call: ControlCall, hint: Tensor, kind: int | None
    ) -> Residuals:
        """Return the residuals of each block.

        ControlNets that read no text use the transformer's position embedding; the others were
        trained without the pooled text.
        """
        del kind
        net, steered = cast("SD3ControlNet", module), cast("Steered", call.module)
        patches = pad_to_patch(call.x, net.config.patch_size)
        pooled = pooled_or_zeros(call.cond, call.x, net.config.pooled_projection_dim)
        (blocks,) = net(
            patches if net.config.use_pos_embed else steered.pos_embed(patches),
            pad_to_patch(hint, net.config.patch_size),
            encoder_hidden_states=text(call.cond, call.x, net.config.joint_attention_dim)
            if net.config.joint_attention_dim
            else None,
            pooled_projections=torch.zeros_like(pooled) if net.config.use_pos_embed else pooled,
            timestep=call.timestep,
            return_dict=False,
        )
        return {"blocks": spread(blocks, len(steered.transformer_blocks))}


def builder() -> Build:
    """Return the function that builds the network."""
    from diffusers.models.controlnets.controlnet_sd3 import SD3ControlNetModel

    def build(config: dict[str, Any]) -> nn.Module:
        return cast("nn.Module", SD3ControlNetModel(**config))

    return build


NETWORK = NetworkClass(
    "sd3_controlnet", "ControlNet", builder, control=SD3Control(), keeps_quantized=True
)
