"""The transformer of FLUX.1 (https://github.com/black-forest-labs/flux, Apache-2.0)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.patchify import PATCH, pad_to_patch, patchify, positions, unpatchify
from nodes.models.networks.base.reference_latents import Method, name_references, patches
from nodes.models.networks.base.text_inputs import pooled_or_zeros, text
from nodes.models.networks.components.style import BIAS, TOKENS, attention_bias
from nodes.models.networks.denoisers.modulation import (
    MODULATION,
    PARTS,
    Modulation,
    accept_modulation,
)
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch

_METHODS: tuple[Method, ...] = ("offset", "index", "uxo/uno")
"""The ways to read references; the first is the usual one."""
GUIDANCE = 3.5
"""The guidance of a distilled model if no node sets one."""
_TIMES = 1000
"""The factor that diffusers gives to timesteps and guidance before they are embedded."""


class FluxConfig(Protocol):
    """The entries of a configuration that are read here."""

    joint_attention_dim: int
    pooled_projection_dim: int
    guidance_embeds: bool


class Flux(Protocol):
    """The interface of diffusers' FLUX transformer."""

    config: FluxConfig
    time_text_embed: Callable[..., Tensor]

    def __call__(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: "Text",
        pooled_projections: Tensor | None,
        timestep: "ExactTimestep | Modulation",
        *,
        img_ids: Tensor,
        txt_ids: Tensor,
        guidance: Tensor | None,
        joint_attention_kwargs: dict[str, Tensor] | None,
        controlnet_block_samples: tuple[Tensor, ...] | None,
        controlnet_single_block_samples: tuple[Tensor, ...] | None,
        return_dict: bool,
    ) -> tuple[Tensor]:
        """Return the velocity of every patch, shaped as `hidden_states`."""
        ...


class Text(NamedTuple):
    """The tokens that the transformer reads before the picture's."""

    tokens: Tensor
    """[batch, length, dim]."""
    style: Tensor | None
    """[batch, length, the transformer's width]: tokens of its own width, which come first."""

    @property
    def length(self) -> int:
        """The number of tokens of both together."""
        return self.tokens.shape[1] + (0 if self.style is None else self.style.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class ExactTimestep:
    """A timestep that stays float32, whatever dtype the network computes in.

    diffusers rounds timesteps to the network's dtype and multiplies them by 1000 afterwards; in
    bfloat16 that shifts them by up to 4 of 1000. The original code of FLUX.1 and ComfyUI embed the
    exact ones.
    """

    level: Tensor
    """[batch] in [0, 1]."""

    def to(self, dtype: torch.dtype) -> "ExactTimestep":
        """Return it as it is."""
        del dtype
        return self

    def __mul__(self, factor: float) -> Tensor:
        """Return the timestep times a factor: [batch] float32."""
        return self.level.float() * factor


class FluxAdapter:
    """Calls a FLUX transformer; see `nodes.models.networks.base.builder.Adapter`."""

    repeats_text = False
    patch_pixels = PATCH**2
    concat_raw = False

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return a condition with the guidance and the reference latents as tensors.

        There is no guidance if a node set it to None. The bias of the attention to a style's
        tokens is padded to the whole text.
        """
        del size, branch
        extras = name_references(cond.extras, _METHODS)
        guidance = extras.pop("guidance", GUIDANCE)
        if guidance is not None:
            extras["guidance"] = torch.tensor([float(cast("float", guidance))])
        bias = extras.get(BIAS)
        if isinstance(bias, Tensor):
            extras[BIAS] = functional.pad(bias, (0, cond.tokens.shape[1] - bias.shape[1]))
        return replace(cond, extras=extras)

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """Run the transformer, and return the velocity.

        Raises:
            WrongConditioningError: text encoders of another family made the conditions.
        """
        model = cast("Flux", module)
        height, width = x.shape[-2:]
        latent = pad_to_patch(x, PATCH)
        own = patchify(latent)
        references, places = patches(cond.extras, latent)
        seen = torch.cat([own, *references], dim=1)
        tokens = Text(text(cond, x, model.config.joint_attention_dim), cond.extras.get(TOKENS))
        time: ExactTimestep | Modulation = ExactTimestep(timestep)
        pooled = guidance = None
        if MODULATION in cond.extras:
            time = Modulation(cond.extras[MODULATION])
        else:
            pooled = pooled_or_zeros(cond, x, model.config.pooled_projection_dim)
            guidance = _guidance(model, cond, x)
        (output,) = model(
            seen,
            tokens,
            pooled,
            time,
            img_ids=torch.cat([positions(latent), *places]),
            txt_ids=torch.zeros(tokens.length, 3, device=x.device),
            guidance=guidance,
            joint_attention_kwargs=_attention_kwargs(cond, tokens, seen),
            controlnet_block_samples=pad_residuals(cond.residuals.get("double"), seen),
            controlnet_single_block_samples=pad_residuals(cond.residuals.get("single"), seen),
            return_dict=False,
        )
        return unpatchify(output[:, : own.shape[1]], latent.shape[-2])[..., :height, :width]


def _attention_kwargs(cond: CondBatch, text: Text, patches: Tensor) -> dict[str, Tensor] | None:
    """Return the attention mask that favours the tokens of a style, if a condition has a bias."""
    if BIAS not in cond.extras:
        return None
    before, after = text.length - text.tokens.shape[1], patches.shape[1]
    return {"attention_mask": attention_bias(cond.extras[BIAS].to(patches), before, after)}


def pad_residuals(states: tuple[Tensor, ...] | None, patches: Tensor) -> tuple[Tensor, ...] | None:
    """Pad the residuals of the picture's patches with zeros for those of references."""
    if states is None:
        return None
    return tuple(functional.pad(s, (0, 0, 0, patches.shape[1] - s.shape[1])) for s in states)


def _guidance(model: Flux, cond: CondBatch, x: Tensor) -> Tensor | None:
    """Return the guidance of a distilled model, [batch] on the device of x."""
    guidance = cond.extras.get("guidance") if model.config.guidance_embeds else None
    return None if guidance is None else guidance.to(x.device)


def _embed(module: nn.Module, timestep: Tensor, cond: CondBatch, like: Tensor) -> Tensor:
    """Embed timesteps, guidance and pooled texts, as the transformer itself does.

    See `nodes.models.networks.denoisers.modulation.Embed`.
    """
    model = cast("Flux", module)
    pooled = pooled_or_zeros(cond, like, model.config.pooled_projection_dim)
    guidance = _guidance(model, cond, like)
    scaled = () if guidance is None else (guidance.to(like.dtype) * _TIMES,)
    return model.time_text_embed(ExactTimestep(timestep) * _TIMES, *scaled, pooled)


@cache
def builder() -> Build:
    """Return the function that builds the network, whose classes are made once."""
    from diffusers.models.embeddings import CombinedTimestepGuidanceTextProjEmbeddings
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel

    class TextEmbedder(nn.Linear):
        """Embeds the text, and puts tokens of the transformer's own width before it."""

        def forward(self, input: Text | Tensor) -> Tensor:
            """Map [batch, length, dim] to [batch, length, width]."""
            if isinstance(input, Tensor):
                return super().forward(input)
            tokens = super().forward(input.tokens)
            return tokens if input.style is None else torch.cat([input.style.to(tokens), tokens], 1)

    class Embeddings(CombinedTimestepGuidanceTextProjEmbeddings):
        """The embeddings of timestep, pooled text and, if there is any, guidance."""

        def forward(
            self, timestep: Tensor, guidance: Tensor, pooled_projection: Tensor | None = None
        ) -> Tensor:
            """Embed as the base class; without guidance the second argument is the pooled text."""
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
        accept_modulation(model)
        return model

    return build


NETWORK = NetworkClass(
    "flux",
    "transformer",
    builder,
    adapter=FluxAdapter(),
    embed=_embed,
    half_dtype=torch.bfloat16,  # its numbers grow too large for float16
    keeps_quantized=True,
    widened="x_embedder.weight",
    reads_projected=True,
    repeated_blocks=("FluxTransformerBlock", "FluxSingleTransformerBlock"),
    parts=PARTS,
)
