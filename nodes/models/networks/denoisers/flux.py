"""The transformer of FLUX.1 (https://github.com/black-forest-labs/flux, Apache-2.0)."""

from dataclasses import replace
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.patchify import PATCH, packed, padded, positions, unpacked
from nodes.models.networks.base.text_inputs import pooled_or_zeros, text
from nodes.models.networks.components.style import BIAS, TOKENS, attention_bias
from nodes.models.networks.denoisers.reference_latents import named, patches
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch

GUIDANCE = 3.5
"""What a distilled model is told where no node says anything."""


class FluxConfig(Protocol):
    """The sizes that are asked for here."""

    joint_attention_dim: int
    pooled_projection_dim: int
    guidance_embeds: bool


class Flux(Protocol):
    """What a FLUX transformer offers."""

    config: FluxConfig

    def __call__(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: "Text",
        pooled_projections: Tensor,
        timestep: Tensor,
        *,
        img_ids: Tensor,
        txt_ids: Tensor,
        guidance: Tensor | None,
        joint_attention_kwargs: dict[str, Tensor] | None,
        controlnet_block_samples: tuple[Tensor, ...] | None,
        controlnet_single_block_samples: tuple[Tensor, ...] | None,
        return_dict: bool,
    ) -> tuple[Tensor]:
        """One forward pass: the velocity of every patch, shaped as `hidden_states`."""
        ...


class Text(NamedTuple):
    """What the transformer reads before the picture."""

    tokens: Tensor
    """[batch, length, dim]."""
    style: Tensor | None
    """[batch, length, the transformer's width]: tokens in its own language, which go first."""

    @property
    def length(self) -> int:
        """Of both together."""
        return self.tokens.shape[1] + (0 if self.style is None else self.style.shape[1])


class FluxAdapter:
    """Asks a FLUX transformer; see `nodes.models.networks.base.builder.Adapter`."""

    repeats_text = False
    packs = PATCH**2
    reads_raw = False

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """With the guidance as a tensor, none at all where a node put None; and references.

        A bias of the attention to a style's tokens is as long as the whole text.
        """
        del size, branch
        extras = named(cond.extras)
        guidance = extras.pop("guidance", GUIDANCE)
        if guidance is not None:
            extras["guidance"] = torch.tensor([float(cast("float", guidance))])
        bias = extras.get(BIAS)
        if isinstance(bias, Tensor):
            extras[BIAS] = functional.pad(bias, (0, cond.tokens.shape[1] - bias.shape[1]))
        return replace(cond, extras=extras)

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """One forward pass.

        Raises:
            WrongConditioningError: text encoders of another family made the conditions.
        """
        model = cast("Flux", module)
        height, width = x.shape[-2:]
        latent = padded(x, PATCH)
        own = packed(latent)
        shown, places = patches(cond.extras, latent)
        seen = torch.cat([own, *shown], dim=1)
        tokens = Text(text(cond, x, model.config.joint_attention_dim), cond.extras.get(TOKENS))
        guidance = cond.extras.get("guidance") if model.config.guidance_embeds else None
        (output,) = model(
            seen,
            tokens,
            pooled_or_zeros(cond, x, model.config.pooled_projection_dim),
            timestep,
            img_ids=torch.cat([positions(latent), *places]),
            txt_ids=torch.zeros(tokens.length, 3, device=x.device),
            guidance=guidance.to(x.device) if guidance is not None else None,
            joint_attention_kwargs=_biased(cond, tokens, seen),
            controlnet_block_samples=_widened(cond.residuals.get("double"), seen),
            controlnet_single_block_samples=_widened(cond.residuals.get("single"), seen),
            return_dict=False,
        )
        return unpacked(output[:, : own.shape[1]], latent.shape[-2])[..., :height, :width]


def _biased(cond: CondBatch, text: Text, patches: Tensor) -> dict[str, Tensor] | None:
    """How much more the tokens of a style are attended to, if a condition says so."""
    if BIAS not in cond.extras:
        return None
    before, after = text.length - text.tokens.shape[1], patches.shape[1]
    return {"attention_mask": attention_bias(cond.extras[BIAS].to(patches), before, after)}


def _widened(states: tuple[Tensor, ...] | None, patches: Tensor) -> tuple[Tensor, ...] | None:
    """What is added to the picture's patches, with nothing for those of references."""
    if states is None:
        return None
    return tuple(functional.pad(s, (0, 0, 0, patches.shape[1] - s.shape[1])) for s in states)


def builder() -> Build:
    """For `nodes.models.networks.factory.skeleton`."""
    from diffusers.models.embeddings import CombinedTimestepGuidanceTextProjEmbeddings
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel

    class TextEmbedder(nn.Linear):
        """Puts tokens in the transformer's own language before the text."""

        def forward(self, input: Text | Tensor) -> Tensor:
            """[batch, length, dim] to [batch, length, width]."""
            if isinstance(input, Tensor):
                return super().forward(input)
            tokens = super().forward(input.tokens)
            return tokens if input.style is None else torch.cat([input.style.to(tokens), tokens], 1)

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
        width = config["num_attention_heads"] * config["attention_head_dim"]
        model.context_embedder = TextEmbedder(config["joint_attention_dim"], width)
        if config["guidance_embeds"]:
            model.time_text_embed = Embeddings(width, config["pooled_projection_dim"])
        return model

    return build


NETWORK = NetworkClass(
    "flux",
    "transformer",
    builder,
    adapter=FluxAdapter(),
    half_dtype=torch.bfloat16,  # its numbers grow too large for float16
    keeps_narrow=True,
    widened="x_embedder.weight",
    reads_projected=True,
)
