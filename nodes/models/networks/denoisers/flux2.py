"""The transformer of FLUX.2 (https://github.com/black-forest-labs/flux2, Apache-2.0)."""

from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.reference_latents import Start, name_references, place
from nodes.models.networks.base.text_inputs import text
from nodes.models.networks.denoisers.flux import GUIDANCE
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch

_INDEX_STEP = 10
"""The distance between the first coordinates of the picture and of one reference after another."""


class Flux2Config(Protocol):
    """The entries of a configuration that are read here."""

    joint_attention_dim: int
    guidance_embeds: bool


class Flux2(Protocol):
    """The interface of diffusers' FLUX.2 transformer."""

    config: Flux2Config

    def __call__(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        timestep: "ExactNumber",
        img_ids: Tensor,
        txt_ids: Tensor,
        guidance: "ExactNumber | None",
        *,
        return_dict: bool,
    ) -> tuple[Tensor]:
        """Return the velocity of every latent pixel, shaped as `hidden_states`."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ExactNumber:
    """A timestep or a guidance that stays float32, whatever dtype the network computes in.

    diffusers rounds both to the network's dtype before they are embedded.
    """

    number: Tensor
    """[batch]."""
    dtype: torch.dtype = torch.float32
    """Of what they are embedded to."""

    def to(self, dtype: torch.dtype) -> "ExactNumber":
        """Return it for a network that computes in this dtype."""
        return replace(self, dtype=dtype)

    def __mul__(self, factor: float) -> "ExactNumber":
        """Return the product."""
        return replace(self, number=self.number.float() * factor)


class Flux2Adapter:
    """Calls a FLUX.2 transformer; see `nodes.models.networks.base.builder.Adapter`."""

    repeats_text = False
    patch_pixels = 1
    concat_raw = False

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return a condition with the guidance and the reference latents as tensors.

        There is no guidance if a node set it to None.
        """
        del size, branch
        extras = name_references(cond.extras, ("index", "offset", "uxo/uno"))
        guidance = extras.pop("guidance", GUIDANCE)
        if guidance is not None:
            extras["guidance"] = torch.tensor([float(cast("float", guidance))])
        return replace(cond, extras=extras)

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """Run the transformer, and return the velocity.

        Raises:
            WrongConditioningError: text encoders of another family or size made the conditions.
            ChannelMismatchError: a reference is of another family.
        """
        model = cast("Flux2", module)
        tokens = text(cond, x, model.config.joint_attention_dim)
        seen = [(x, (0, 0, 0)), *place(cond.extras, x, 1, step=_INDEX_STEP)]
        (output,) = model(
            torch.cat([latent.flatten(2).mT for latent, _ in seen], dim=1),
            tokens,
            ExactNumber(timestep),
            torch.cat([_places(latent.shape[-2:], start, x.device) for latent, start in seen]),
            _word_places(tokens.shape[1], x.device),
            _guidance(model, cond, x),
            return_dict=False,
        )
        return output[:, : x.shape[-2:].numel()].mT.reshape(x.shape)


def _guidance(model: Flux2, cond: CondBatch, x: Tensor) -> ExactNumber | None:
    """Return the guidance of a distilled model, on the device of x."""
    guidance = cond.extras.get("guidance") if model.config.guidance_embeds else None
    return None if guidance is None else ExactNumber(guidance.to(x.device))


@lru_cache(maxsize=16)
def _places(size: torch.Size, start: Start, device: torch.device) -> Tensor:
    """Return (index, row, column, 0) of every latent pixel: made once, as steps have one size."""
    index, top, left = start
    rows, columns = (
        torch.arange(first, first + side, device=device)
        for first, side in zip((top, left), size, strict=True)
    )
    row, column = torch.meshgrid(rows, columns, indexing="ij")
    flat = torch.zeros_like(row)
    return torch.stack([flat + index, row, column, flat], dim=-1).reshape(-1, 4).float()


@lru_cache(maxsize=16)
def _word_places(length: int, device: torch.device) -> Tensor:
    """Return (0, 0, 0, place) of every token of a text."""
    places = torch.arange(length, device=device).float()
    return torch.nn.functional.pad(places[:, None], (3, 0))


@cache
def builder() -> Build:
    """Return the function that builds the network, whose classes are made once."""
    from diffusers.models.transformers.transformer_flux2 import (
        Flux2TimestepGuidanceEmbeddings,
        Flux2Transformer2DModel,
    )

    class ExactEmbeddings(Flux2TimestepGuidanceEmbeddings):
        """The sum of the embeddings of timestep and, if there is any, guidance."""

        def forward(  # pyright: ignore[reportIncompatibleMethodOverride]: of exact numbers
            self, timestep: ExactNumber, guidance: ExactNumber | None
        ) -> Tensor:
            """Return [batch, width]."""
            embedded = self._embed(self.timestep_embedder, timestep)
            if guidance is None:
                return embedded
            return embedded + self._embed(cast("nn.Module", self.guidance_embedder), guidance)

        def _embed(self, embedder: nn.Module, value: ExactNumber) -> Tensor:
            return embedder(self.time_proj(value.number).to(value.dtype))

    def build(config: dict[str, Any]) -> nn.Module:
        model = cast("Any", Flux2Transformer2DModel(**config))
        model.time_guidance_embed.__class__ = ExactEmbeddings
        return cast("nn.Module", model)

    return build


NETWORK = NetworkClass(
    "flux2",
    "transformer",
    builder,
    adapter=Flux2Adapter(),
    half_dtype=torch.bfloat16,  # its numbers grow too large for float16
    keeps_quantized=True,
    repeated_blocks=("Flux2TransformerBlock", "Flux2SingleTransformerBlock"),
)
