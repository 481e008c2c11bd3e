"""The places of a U-Net where functions of packs are called: put there once, in every pass read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from nodes.comfy.values.patches.attention import HookedAttention, Kind, Place
from nodes.comfy.values.patches.options import current_pass
from nodes.models.networks.base.call_context import wrap
from nodes.models.networks.modifiers.unet_parts import (
    UNetParts,
    attentions_of,
    input_blocks,
    join_by,
    unet_of,
)

_WHAT = "a pack's change of attention or blocks"
_KINDS: tuple[Kind, ...] = ("attn1", "attn2")


def hook_unet(network: nn.Module) -> None:
    """Call functions of packs in the attention and between the blocks of a U-Net.

    Raises:
        WrongNetworkError: it is no U-Net.
    """
    unet = unet_of(network, _WHAT)
    for place, transformer in _transformers(unet):
        wrap(transformer, _keep_shape)
        blocks = cast("list[nn.Module]", transformer.transformer_blocks)
        for depth, block in enumerate(blocks):
            for kind in _KINDS:
                attention = cast("nn.Module | None", getattr(block, kind))
                if attention is not None:
                    where = place._replace(depth=depth)
                    wrap(attention, HookedAttention(attention, kind, where))
    blocks = input_blocks(unet)
    following = [*blocks[1:], [unet.mid_block.resnets[0]]]
    for number, (block, after) in enumerate(zip(blocks, following, strict=True)):
        wrap(block[-1], _BlockHook("input_block_patch", number, after=True))
        wrap(after[0], _BlockHook("input_block_patch_after_skip", number, after=False))
    width = unet.config.block_out_channels[0]
    wrap(cast("Any", network).time_embedding, _EmbeddingHook(width))
    join_by(unet, _join)


def _transformers(unet: UNetParts) -> Iterator[tuple[Place, nn.Module]]:
    """Yield the transformers of a U-Net with their places in the original layout."""
    parts: list[tuple[str, int, nn.Module]] = []
    for number, block in enumerate(input_blocks(unet)):
        parts += [("input", number, each) for each in block if hasattr(each, "transformer_blocks")]
    middle = (each for each in attentions_of(unet.mid_block) if each is not None)
    parts += [("middle", 0, each) for each in middle if hasattr(each, "transformer_blocks")]
    outputs = [each for block in unet.up_blocks for each in attentions_of(block)]
    parts += [("output", number, each) for number, each in enumerate(outputs) if each is not None]
    for transformer, (name, number, module) in enumerate(parts):
        yield Place(name, number, 0, transformer), module


def _keep_shape(forward: Callable[..., Any], hidden: Tensor, *args: object, **more: object) -> Any:
    """Tell functions in attention the shape that the tokens had as a picture."""
    state = current_pass()
    if state is not None:
        state.options["activations_shape"] = list(hidden.shape)
    return forward(hidden, *args, **more)


@dataclass(frozen=True, slots=True)
class _BlockHook:
    """Changes the hidden states after a block on the way down, with or without the skip."""

    name: str
    number: int
    after: bool

    def __call__(
        self, forward: Callable[..., Any], hidden: Tensor, *args: object, **more: object
    ) -> Any:
        if not self.after:
            return forward(self._call_patches(hidden), *args, **more)
        made = forward(hidden, *args, **more)
        if isinstance(made, Tensor):
            return self._call_patches(made)
        return (self._call_patches(cast("tuple[Tensor]", made)[0]),)

    def _call_patches(self, hidden: Tensor) -> Tensor:
        state = current_pass()
        if state is not None:
            state.options["block"] = ("input", self.number)
            for patch in state.patches(self.name):
                hidden = patch(hidden, state.options)
        return hidden


@dataclass(frozen=True, slots=True)
class _EmbeddingHook:
    """Changes the embedding of the timestep."""

    width: int

    def __call__(self, forward: Callable[..., Tensor], *args: object, **more: object) -> Tensor:
        embedding = forward(*args, **more)
        state = current_pass()
        for patch in () if state is None else state.patches("emb_patch"):
            embedding = patch(embedding, self.width, state and state.options)
        return embedding


def _join(hidden: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
    """Change the hidden states and the skip connection before a block on the way up."""
    state = current_pass()
    if state is not None:
        state.options["block"] = ("output", state.joins)
        state.joins += 1
        for patch in state.patches("output_block_patch"):
            hidden, skip = patch(hidden, skip, state.options)
    return hidden, skip
