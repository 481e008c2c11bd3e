"""The transformer of Qwen-Image 2.1 (Qwen team 2026): text and pictures are one sequence.

A token sees those before it, and a picture's tokens see each other; the picture that is made is
the last. The text and the pictures to look at are modulated as at time 0, so that nothing of them
depends on the step (diffusers' `QwenImage21Transformer2DModel`, Apache-2.0).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, TypeAlias, cast
from weakref import ref

import torch
from torch import Tensor, nn

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.centred_positions import places, turn
from nodes.models.networks.base.placed_references import Placed, name_placed, placements
from nodes.models.networks.base.prefix_cache import (
    LayerPrefix,
    PrefixPolicy,
    are_full,
    layers_of_run,
)
from nodes.models.networks.base.text_inputs import text
from nodes.models.networks.modifiers.compiled import COMPILED
from nodes.sampling.conditioning.cond import REFERENCES, Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch

Piece: TypeAlias = int | tuple[int, int]
"""A part of the sequence: a number of the text's tokens, or the rows and columns of a picture."""
Segment: TypeAlias = tuple[int, int, bool]
"""The first token of a part, the one after its last, and True for text."""
_TIMES = 1000.0
"""The factor of timesteps before they are embedded."""
_SINES = 128
"""The number of frequencies that embed a timestep."""


class QwenImage21Config(Protocol):
    """The entries of a configuration that are read here."""

    context_in_dim: int
    num_attention_heads: int
    attention_head_dim: int


class Prefix(NamedTuple):
    """The sequence before the picture that is made."""

    words: Tensor
    """[batch, length, dim]: the text without the tokens that stand for pictures."""
    pictures: tuple[Tensor, ...]
    """[batch, number, channels] each."""
    pieces: tuple[Piece, ...]
    """Their order: text, then each picture with the text after it, which may be none."""

    @property
    def length(self) -> int:
        """The number of its tokens."""
        return sum(map(length_of, self.pieces))


class QwenImage21(Protocol):
    """The interface of the transformer."""

    config: QwenImage21Config
    prefix_policy: PrefixPolicy
    transformer_blocks: Sequence[nn.Module]

    def __call__(
        self,
        latent: Tensor,
        timestep: Tensor,
        prefix: Prefix,
        size: tuple[int, int],
        kept: Sequence[LayerPrefix],
    ) -> Tensor:
        """Return the velocity of every latent pixel, shaped as `latent`.

        Args:
            latent: [batch, number, channels]: of the picture that is made.
            timestep: [batch] float32 in [0, 1].
            prefix: all that the model reads before it.
            size: the rows and columns of the latent.
            kept: places for the prefix's keys and values, which are read if they are full; none if
                nothing is kept.
        """
        ...


class QwenImage21Adapter:
    """Calls the transformer; see `nodes.models.networks.base.builder.Adapter`."""

    repeats_text = False
    patch_pixels = 1
    concat_raw = False

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return the condition with its reference latents as tensors.

        Raises:
            UnplacedReferenceError: the text has more or fewer places for them.
        """
        del size, branch
        return replace(cond, extras=name_placed(cond.extras))

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """Run the transformer, and return the velocity.

        Raises:
            WrongConditioningError: text encoders of another family made the conditions.
        """
        model = cast("QwenImage21", module)
        words = text(cond, x, model.config.context_in_dim)
        prefix = weave(words, placements(cond.extras, x))
        kept = _kept_layers(model, x, cond, prefix)
        velocity = model(_tokens(x), timestep, prefix, (x.shape[-2], x.shape[-1]), kept)
        return velocity.transpose(1, 2).reshape(x.shape)


def _kept_layers(
    model: QwenImage21, x: Tensor, cond: CondBatch, prefix: Prefix
) -> Sequence[LayerPrefix]:
    """Return the places of the run for the prefix's keys and values; none where they do not fit."""
    blocks = model.transformer_blocks
    if any(getattr(each, COMPILED, False) for each in blocks):
        return ()
    numbers = 2 * len(x) * prefix.length * _width(model)
    references = (each for name, each in cond.extras.items() if name.startswith(REFERENCES))
    sources = (ref(model), cond.tokens, *references)  # weights can leave while the run goes on
    return layers_of_run(model.prefix_policy, len(blocks), numbers, x, len(x), sources)


def _width(model: QwenImage21) -> int:
    return model.config.num_attention_heads * model.config.attention_head_dim


def _tokens(latent: Tensor) -> Tensor:
    """Return a latent's pixels as tokens: [batch, h * w, channels]."""
    return latent.flatten(2).transpose(1, 2)


def weave(words: Tensor, references: Sequence[Placed]) -> Prefix:
    """Put references into a text, in place of the tokens that stand for them.

    Args:
        words: [batch, length, dim].
        references: in the order of their places.
    """
    pieces, runs, pictures, at = list[Piece](), list[Tensor](), list[Tensor](), 0
    for (start, number), latent in references:
        runs.append(words[:, at:start])
        pieces += [start - at, (latent.shape[-2], latent.shape[-1])]
        pictures.append(_tokens(latent))
        at = start + number
    runs.append(words[:, at:])
    return Prefix(torch.cat(runs, dim=1), tuple(pictures), (*pieces, words.shape[1] - at))


def length_of(piece: Piece) -> int:
    """Return the number of a part's tokens."""
    return piece if isinstance(piece, int) else math.prod(piece)


def segments_of(pieces: Sequence[Piece]) -> list[Segment]:
    """Return where the parts of a sequence lie that are not empty."""
    ends = [0]
    for piece in pieces:
        ends.append(ends[-1] + length_of(piece))
    return [
        (start, end, isinstance(piece, int))
        for (start, end), piece in zip(pairwise(ends), pieces, strict=True)
        if end > start
    ]


@lru_cache(maxsize=16)
def turns_of(axes: tuple[int, ...], pieces: tuple[Piece, ...], device: torch.device) -> Tensor:
    """Return the turns of a sequence's tokens, complex: [tokens, head / 2].

    Text counts in all three coordinates; a picture has the number of the text before it as its
    frame, and the text after it goes on from there by its longer side.

    Args:
        axes: the numbers of a head that turn with frame, row and column.
        pieces: the sequence.
        device: of the result, which is made once, as steps have the same sizes.
    """
    found: list[Tensor] = []
    start = 0
    for piece in pieces:
        if isinstance(piece, int):
            counted = torch.arange(start, start + piece, device="cpu")
            found.append(counted[:, None].expand(-1, 3))
            start += piece
        else:
            found.append(places(start, *piece))
            start += max(piece)
    return turn(axes, torch.cat(found)).to(device)


class Sines(nn.Module):
    """The cosines and sines of timesteps, which stay float32.

    diffusers keeps the frequencies in a buffer, which a network without weights lacks, and rounds
    the timesteps to the network's dtype.
    """

    def forward(self, timestep: Tensor) -> Tensor:
        """Return [batch, channels] float32 of [batch] in [0, 1]."""
        share = torch.arange(_SINES, device=timestep.device, dtype=torch.float32) / _SINES
        angles = timestep.float()[:, None] * _TIMES * torch.exp(-math.log(10_000.0) * share)
        return torch.cat([angles.cos(), angles.sin()], dim=-1)


class _Layers(Protocol):
    """The layers of the transformer."""

    axes: tuple[int, ...]
    img_in: Callable[..., Tensor]
    txt_in: Callable[..., Tensor]
    time_text_embed: Callable[..., Tensor]
    modulation: Callable[..., Tensor]
    norm_out: Callable[..., Tensor]
    proj_out: Callable[..., Tensor]
    transformer_blocks: Sequence[Callable[..., Tensor]]


def _run_whole(
    layers: _Layers,
    latent: Tensor,
    timestep: Tensor,
    prefix: Prefix,
    size: tuple[int, int],
    kept: Sequence[LayerPrefix],
) -> Tensor:
    """Return the velocity, computed with the prefix; see `QwenImage21`."""
    hidden = torch.cat([*_embed(layers, prefix), layers.img_in(latent)], dim=1)
    is_made = torch.arange(hidden.shape[1], device=hidden.device) >= prefix.length
    times = torch.cat([timestep, timestep.new_zeros(1)])
    embedded = layers.time_text_embed(times, hidden)
    modulation = layers.modulation(embedded)
    turns = turns_of(layers.axes, (*prefix.pieces, size), hidden.device)
    for number, block in enumerate(layers.transformer_blocks):
        hidden = block(
            hidden_states=hidden,
            modulation=modulation,
            rotary_emb=turns,
            target_token_mask=is_made,
            segments=segments_of(prefix.pieces),
            layer_cache=kept[number] if kept else None,
            kv_cache_mode="extract" if kept else None,
            cache_write_slice=slice(prefix.length),
        )
    return layers.proj_out(layers.norm_out(hidden[:, prefix.length :], embedded[:-1]))


def _run_after(
    layers: _Layers,
    latent: Tensor,
    timestep: Tensor,
    prefix: Prefix,
    size: tuple[int, int],
    kept: Sequence[LayerPrefix],
) -> Tensor:
    """Return the velocity, computed after the kept keys and values; see `QwenImage21`."""
    hidden = layers.img_in(latent)
    embedded = layers.time_text_embed(timestep, hidden)
    modulation = layers.modulation(embedded)
    turns = turns_of(layers.axes, (*prefix.pieces, size), hidden.device)[prefix.length :]
    for block, layer in zip(layers.transformer_blocks, kept, strict=True):
        hidden = block(
            hidden_states=hidden,
            modulation=modulation,
            rotary_emb=turns,
            layer_cache=layer,
            kv_cache_mode="cached",
        )
    return layers.proj_out(layers.norm_out(hidden, embedded))


def _embed(layers: _Layers, prefix: Prefix) -> Iterator[Tensor]:
    """Yield the embedded parts of a prefix, in their order."""
    words, at, pictures = layers.txt_in(prefix.words), 0, iter(prefix.pictures)
    for piece in prefix.pieces:
        if isinstance(piece, int):
            yield words[:, at : at + piece]
            at += piece
        else:
            yield layers.img_in(next(pictures))


@cache
def builder() -> Build:
    """Return the function that builds the network, whose class is made once."""
    from diffusers.models.transformers.transformer_qwenimage21 import QwenImage21Transformer2DModel

    class Sequenced(QwenImage21Transformer2DModel):
        """Takes the sequence's parts as numbers, so that its shapes are known before it runs."""

        def forward(  # pyright: ignore[reportIncompatibleMethodOverride]: see `QwenImage21`
            self,
            latent: Tensor,
            timestep: Tensor,
            prefix: Prefix,
            size: tuple[int, int],
            kept: Sequence[LayerPrefix] = (),
        ) -> Tensor:
            """Return the velocity; see `QwenImage21`."""
            run = _run_after if are_full(kept) else _run_whole
            return run(cast("_Layers", self), latent, timestep, prefix, size, kept)

    def build(config: dict[str, Any]) -> nn.Module:
        model = cast("Any", Sequenced(**config))
        model.prefix_node, model.prefix_policy = "QwenImage21Cache", PrefixPolicy()
        model.axes = tuple(config["axes_dims_rope"])
        model.pos_embed = nn.Identity()
        model.time_text_embed.time_proj = Sines()
        return cast("nn.Module", model)

    return build


NETWORK = NetworkClass(
    "qwen_image21",
    "transformer",
    builder,
    adapter=QwenImage21Adapter(),
    half_dtype=torch.bfloat16,  # its numbers grow too large for float16
    keeps_quantized=True,
    repeated_blocks=("QwenImage21TransformerBlock",),
)
