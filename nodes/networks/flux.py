"""The transformer of FLUX.1 (https://github.com/black-forest-labs/flux, Apache-2.0)."""

from dataclasses import replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from nodes.networks.builder import Build
from nodes.networks.patching import padded, pooled_or_zeros
from nodes.values import Cond, CondBatch

GUIDANCE = 3.5
"""What a distilled model is told where no node says anything."""
_PATCH = 2


class FluxConfig(Protocol):
    """The sizes that are asked for here."""

    pooled_projection_dim: int
    guidance_embeds: bool


class Flux(Protocol):
    """What a FLUX transformer offers."""

    config: FluxConfig

    def __call__(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        pooled_projections: Tensor,
        timestep: Tensor,
        *,
        img_ids: Tensor,
        txt_ids: Tensor,
        guidance: Tensor | None,
        controlnet_block_samples: tuple[Tensor, ...] | None,
        controlnet_single_block_samples: tuple[Tensor, ...] | None,
        return_dict: bool,
    ) -> tuple[Tensor]:
        """One forward pass: the velocity of every patch, shaped as `hidden_states`."""
        ...


class FluxAdapter:
    """Asks a FLUX transformer; see `nodes.networks.adapter.Adapter`."""

    repeats_text = False

    def conditions(self, cond: Cond, height: int, width: int) -> Cond:
        """With the guidance as a tensor; none at all where a node put None."""
        del height, width
        extras = dict(cond.extras)
        guidance = extras.pop("guidance", GUIDANCE)
        if guidance is not None:
            extras["guidance"] = torch.tensor([float(cast("float", guidance))])
        return replace(cond, extras=extras)

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """One forward pass."""
        model = cast("Flux", module)
        height, width = x.shape[-2:]
        latent = padded(x, _PATCH)
        tokens = cond.tokens.to(x)
        guidance = cond.extras.get("guidance") if model.config.guidance_embeds else None
        (output,) = model(
            packed(latent),
            tokens,
            pooled_or_zeros(cond.pooled, x, model.config.pooled_projection_dim),
            timestep,
            img_ids=positions(latent.shape[-2] // _PATCH, latent.shape[-1] // _PATCH).to(x.device),
            txt_ids=torch.zeros(tokens.shape[1], 3, device=x.device),
            guidance=guidance.to(x.device) if guidance is not None else None,
            controlnet_block_samples=cond.residuals.get("double"),
            controlnet_single_block_samples=cond.residuals.get("single"),
            return_dict=False,
        )
        return unpacked(output, latent.shape[-2])[..., :height, :width]


def packed(latent: Tensor) -> Tensor:
    """Patches of 2x2, row by row: [batch, c, h, w] to [batch, h/2 * w/2, c * 4]."""
    batch, channels, height, width = latent.shape
    rows, columns = height // _PATCH, width // _PATCH
    patches = latent.reshape(batch, channels, rows, _PATCH, columns, _PATCH)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, channels * _PATCH**2)


def unpacked(patches: Tensor, height: int) -> Tensor:
    """The inverse of `packed`, for a latent of that height."""
    batch, number, size = patches.shape
    rows, channels = height // _PATCH, size // _PATCH**2
    columns = number // rows
    latent = patches.reshape(batch, rows, columns, channels, _PATCH, _PATCH)
    return latent.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, height, columns * _PATCH)


def positions(rows: int, columns: int) -> Tensor:
    """(0, row, column) of every patch: [rows * columns, 3] float32."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([torch.zeros_like(y), y, x], dim=-1).reshape(-1, 3).float()


def builder() -> Build:
    """For `nodes.networks.build.skeleton`."""
    from diffusers.models.embeddings import CombinedTimestepGuidanceTextProjEmbeddings
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel

    class Embeddings(CombinedTimestepGuidanceTextProjEmbeddings):
        """Goes without guidance where there is none."""

        def forward(
            self, timestep: Tensor, guidance: Tensor, pooled_projection: Tensor | None = None
        ) -> Tensor:
            """As the base class; called without guidance, the pooled text stands in its place."""
            if pooled_projection is not None:
                return cast("Any", super()).forward(timestep, guidance, pooled_projection)
            pooled = guidance
            time = self.timestep_embedder(self.time_proj(timestep).to(pooled))
            return time + self.text_embedder(pooled)

    def build(config: dict[str, Any]) -> nn.Module:
        model = cast("nn.Module", FluxTransformer2DModel(**config))
        if config["guidance_embeds"]:
            width = config["num_attention_heads"] * config["attention_head_dim"]
            model.time_text_embed = Embeddings(width, config["pooled_projection_dim"])
        return model

    return build
