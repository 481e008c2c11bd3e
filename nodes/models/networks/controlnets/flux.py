"""ControlNets for FLUX.1: some of the transformer's blocks, which also read a hint.

The hint of InstantX's, Shakker's and AliMama's is a latent, that of XLabs' a picture.
"""

import warnings
from collections.abc import Mapping
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from nodes.models.families.base.spec import Config
from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.control_hint import ControlHint
from nodes.models.networks.base.patchify import PATCH, pad_to_patch, patchify, positions, spread
from nodes.models.networks.base.text_inputs import pooled_or_zeros, text
from nodes.models.networks.denoisers.flux import ExactTimestep
from nodes.sampling.conditioning.cond import ControlCall, Residuals


class Sizes(Protocol):
    """The entries of a configuration that are read here."""

    pooled_projection_dim: int
    joint_attention_dim: int
    guidance_embeds: bool


class FluxControlNet(Protocol):
    """The interface of diffusers' ControlNet for FLUX."""

    config: Sizes
    input_hint_block: nn.Module | None

    def __call__(
        self,
        hidden_states: Tensor,
        controlnet_cond: Tensor,
        controlnet_mode: Tensor | None,
        *,
        encoder_hidden_states: Tensor,
        pooled_projections: Tensor,
        timestep: ExactTimestep,
        img_ids: Tensor,
        txt_ids: Tensor,
        guidance: Tensor | None,
        return_dict: bool,
    ) -> tuple[list[Tensor] | None, list[Tensor] | None]:
        """Return the residuals of its double and of its single blocks."""
        ...


class Steered(Protocol):
    """The blocks of the transformer, which are counted here."""

    transformer_blocks: nn.ModuleList
    single_transformer_blocks: nn.ModuleList


class FluxControl:
    """Calls a ControlNet for FLUX; see `nodes.models.networks.base.builder.ControlAdapter`."""

    reads_latent = True

    def fits(self, config: Config, model: Mapping[str, object]) -> bool:
        """Return True for a transformer of the same width that reads the same text."""
        same = ("num_attention_heads", "attention_head_dim", "joint_attention_dim")
        return "axes_dims_rope" in model and all(model.get(key) == config[key] for key in same)

    def hint(self, config: Config, hint: ControlHint, call: ControlCall) -> Tensor:
        """Return the latent, for inpainting with the mask; or the pixels in [-1, 1]."""
        height, width = (side + -side % PATCH for side in call.x.shape[-2:])
        if config["conditioning_embedding_channels"]:
            scale = call.latents.downscale
            return hint.pixels(height * scale, width * scale) * 2 - 1
        latent = hint.latent(height, width, call.latents)
        if config["hint_channels"] > config["in_channels"]:
            kept = hint.visible_mask(height, width).to(latent)
            latent = torch.cat([latent, kept.expand(len(latent), -1, -1, -1)], dim=1)
        return patchify(latent)

    def residuals(
        self, module: nn.Module, call: ControlCall, hint: Tensor, kind: int | None
    ) -> Residuals:
        """Return the residuals of each double and each single block."""
        net, steered = cast("FluxControlNet", module), cast("Steered", call.module)
        latent = pad_to_patch(call.x[:, : call.latents.channels], PATCH)
        tokens = text(call.cond, call.x, net.config.joint_attention_dim)
        guidance = call.cond.extras.get("guidance") if net.config.guidance_embeds else None
        mode = torch.full((len(call.x), 1), kind) if kind is not None else None
        double, single = net(
            patchify(latent),
            hint,
            mode.to(call.x.device) if mode is not None else None,
            encoder_hidden_states=tokens,
            pooled_projections=pooled_or_zeros(call.cond, call.x, net.config.pooled_projection_dim),
            timestep=ExactTimestep(call.timestep),
            img_ids=positions(latent),
            txt_ids=torch.zeros(tokens.shape[1], 3, device=call.x.device),
            guidance=guidance.to(call.x.device) if guidance is not None else None,
            return_dict=False,
        )
        cycled = net.input_hint_block is not None
        found = {
            "double": spread(double or (), len(steered.transformer_blocks), cycled=cycled),
            "single": spread(single or (), len(steered.single_transformer_blocks)),
        }
        return {part: states for part, states in found.items() if states}


def builder() -> Build:
    """Return the function that builds the network."""
    from diffusers.models.controlnets.controlnet_flux import FluxControlNetModel

    def build(config: dict[str, Any]) -> nn.Module:
        wide = config.pop("hint_channels")
        with warnings.catch_warnings():  # diffusers warns of an import of its own
            warnings.filterwarnings("ignore", message=".FluxPosEmbed.", category=FutureWarning)
            model = cast("nn.Module", FluxControlNetModel(**config))
        if wide != config["in_channels"]:
            width = config["num_attention_heads"] * config["attention_head_dim"]
            model.controlnet_x_embedder = nn.Linear(wide, width)
        return model

    return build


NETWORK = NetworkClass(
    "flux_controlnet",
    "ControlNet",
    builder,
    control=FluxControl(),
    half_dtype=torch.bfloat16,  # its numbers grow too large for float16
    keeps_quantized=True,
)
