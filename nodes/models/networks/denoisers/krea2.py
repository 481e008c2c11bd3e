"""The transformer of Krea 2 (Krea 2026, https://github.com/krea-ai/krea-2)."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.patchify import PATCH, pad_to_patch, patchify, positions, unpatchify
from nodes.models.networks.base.reference_latents import Method, name_references, place
from nodes.models.networks.base.text_inputs import text
from nodes.sampling.conditioning.cond import REFERENCES, Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch

_METHODS: tuple[Method, ...] = ("index_timestep_zero", "index")
"""The ways to read references; LoRAs for references are trained with the first."""
_AT_ZERO = f"{REFERENCES} {_METHODS[0]} "
"""The start of the names of references at time zero, among the extras of a call."""


class Krea2Config(Protocol):
    """The entries of a configuration that are read here."""

    num_text_layers: int
    text_hidden_dim: int


class Krea2(Protocol):
    """The interface of diffusers' Krea 2 transformer."""

    config: Krea2Config

    def __call__(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        timestep: Tensor,
        position_ids: "Places",
        *,
        return_dict: bool,
    ) -> tuple[Tensor]:
        """Return the velocity of every patch, shaped as `hidden_states`.

        Args:
            hidden_states: [batch, patches, channels].
            encoder_hidden_states: [batch, tokens, layers, width].
            timestep: [batch] float32: 1 for noise alone, 0 for the clean latent; [2 * batch] if
                tokens from a place on are at another time, which comes in the second half.
            position_ids: of the tokens and the patches.
            return_dict: False for a tuple.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """The positions of text and patches, and which of them are at another time."""

    ids: Tensor
    """[tokens + patches, 3]: picture, row and column; zeros for the text."""
    split: int | None
    """The first one at the other time; None if all are at one."""

    @property
    def ndim(self) -> int:
        """The dimensions of the ids."""
        return self.ids.ndim

    @property
    def shape(self) -> torch.Size:
        """The shape of the ids."""
        return self.ids.shape


class Turns(NamedTuple):
    """The rotations of queries and keys by their positions."""

    cos: Tensor
    """[tokens + patches, head]."""
    sin: Tensor
    """The same."""
    split: int | None
    """As of `Places`."""


class TwoTimes(NamedTuple):
    """The modulations of a block for two times: scale, shift and gate, twice, [batch, 1, width]."""

    now: tuple[Tensor, ...]
    other: tuple[Tensor, ...]
    split: int
    """The first token at the other time."""

    def modulate(self, states: Tensor, scale: int) -> Tensor:
        """Scale and shift each token, [batch, tokens, width], by the modulations from a number."""
        first, rest = states[:, : self.split], states[:, self.split :]
        parts = ((self.now, first), (self.other, rest))
        return torch.cat([(1.0 + m[scale]) * part + m[scale + 1] for m, part in parts], dim=1)

    def gate(self, states: Tensor, number: int) -> Tensor:
        """Multiply each token by a modulation."""
        first, rest = states[:, : self.split], states[:, self.split :]
        return torch.cat([self.now[number] * first, self.other[number] * rest], dim=1)


class Krea2Adapter:
    """Calls a Krea 2 transformer; see `nodes.models.networks.base.builder.Adapter`."""

    repeats_text = False
    patch_pixels = PATCH**2
    concat_raw = False

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return a condition with the references as tensors.

        Raises:
            ReferenceMethodError: a node chose a method of other models.
        """
        del size, branch
        return replace(cond, extras=name_references(cond.extras, _METHODS))

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """Run the transformer, and return the velocity.

        Raises:
            WrongConditioningError: text encoders of another family made the conditions.
            ChannelMismatchError: references are of another family.
        """
        model = cast("Krea2", module)
        height, width = x.shape[-2:]
        latent = pad_to_patch(x, PATCH)
        layers, states = model.config.num_text_layers, model.config.text_hidden_dim
        tokens = text(cond, x, layers * states)
        own, placed = patchify(latent), place(cond.extras, latent, PATCH)
        ids = [functional.pad(positions(latent), (0, 0, tokens.shape[1], 0))]
        ids += [positions(each, start) for each, start in placed]
        at_zero = any(name.startswith(_AT_ZERO) for name in cond.extras)
        split = tokens.shape[1] + own.shape[1] if at_zero else None
        (output,) = model(
            torch.cat([own, *(patchify(each) for each, _ in placed)], dim=1),
            tokens.reshape(*tokens.shape[:2], layers, states),
            torch.cat([timestep, torch.zeros_like(timestep)]) if at_zero else timestep,
            Places(torch.cat(ids), split),
            return_dict=False,
        )
        made = output[:, : own.shape[1]]
        return unpatchify(made, latent.shape[-2])[..., :height, :width]


@cache
def builder() -> Build:
    """Return the function that builds the network, whose classes are made once."""
    from diffusers.models.transformers.transformer_krea2 import (
        Krea2FinalLayer,
        Krea2RMSNorm,
        Krea2RotaryPosEmbed,
        Krea2Transformer2DModel,
        Krea2TransformerBlock,
    )

    class ExactNorm(Krea2RMSNorm):
        """The norm, whose weights are added to 1 in float32, whatever dtype they have."""

        def forward(self, hidden_states: Tensor) -> Tensor:
            """Norm [..., width]."""
            weight = self.weight.float() + 1.0
            normed = functional.rms_norm(hidden_states.float(), (self.dim,), weight, self.eps)
            return normed.to(hidden_states.dtype)

    class TimedPositions(Krea2RotaryPosEmbed):
        """The rotary positions, which hand on what is at another time."""

        def forward(self, ids: Places) -> Turns:  # pyright: ignore[reportIncompatibleMethodOverride]
            """Return the rotations at places."""
            cos, sin = super().forward(ids.ids)
            return Turns(cos, sin, ids.split)

    class TimedBlock(Krea2TransformerBlock):
        """A block whose last tokens may be modulated for another time."""

        def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
            self,
            hidden_states: Tensor,
            temb: Tensor,
            image_rotary_emb: Turns,
            attention_mask: Tensor | None = None,
        ) -> Tensor:
            """Map [batch, tokens, width]; `temb` has a second half for the other time."""
            turns, split = (image_rotary_emb.cos, image_rotary_emb.sin), image_rotary_emb.split
            if split is None:
                return super().forward(hidden_states, temb, turns, attention_mask)
            both = temb.reshape(*temb.shape[:2], 6, -1) + self.scale_shift_table
            now, other = (each.unbind(-2) for each in both.chunk(2))
            times = TwoTimes(now, other, split)
            seen = times.modulate(self.norm1(hidden_states), 0)
            attended = self.attn(seen, attention_mask=attention_mask, image_rotary_emb=turns)
            hidden_states = hidden_states + times.gate(attended, 2)
            seen = times.modulate(self.norm2(hidden_states), 3)
            return hidden_states + times.gate(self.ff(seen), 5)

    class TimedFinalLayer(Krea2FinalLayer):
        """The last layer, which is modulated for the picture's time."""

        def forward(self, hidden_states: Tensor, temb: Tensor) -> Tensor:
            """Map [batch, patches, width] to [batch, patches, channels]."""
            return super().forward(hidden_states, temb[: len(hidden_states)])

    own: dict[type[nn.Module], type[nn.Module]] = {
        Krea2RMSNorm: ExactNorm,
        Krea2RotaryPosEmbed: TimedPositions,
        Krea2TransformerBlock: TimedBlock,
        Krea2FinalLayer: TimedFinalLayer,
    }

    def build(config: dict[str, Any]) -> nn.Module:
        model = cast("nn.Module", Krea2Transformer2DModel(**config))
        for module in model.modules():
            module.__class__ = own.get(type(module), type(module))
        return model

    return build


NETWORK = NetworkClass(
    "krea2",
    "transformer",
    builder,
    adapter=Krea2Adapter(),
    half_dtype=torch.bfloat16,  # its numbers grow too large for float16
    keeps_quantized=True,
    repeated_blocks=("TimedBlock",),
)
