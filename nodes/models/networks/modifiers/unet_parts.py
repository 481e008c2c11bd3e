"""The parts of diffusers' U-Net that alterations change."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol, TypeAlias, cast

import torch
from torch import Tensor, nn

from nodes.models.networks.base.errors import WrongNetworkError

Join: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""A function from (hidden, skip) to the same, before they are concatenated in the decoder."""


class Block(Protocol):
    """A level of a U-Net."""

    resnets: nn.ModuleList


class DownBlock(Block, Protocol):
    """A level on the way down."""

    downsamplers: nn.ModuleList | None


class UpBlock(Block, Protocol):
    """A level on the way up."""

    upsamplers: nn.ModuleList | None
    joins: list[Join]
    forward: Callable[..., Tensor]


class UNetConfig(Protocol):
    """The entries of a configuration that are read here."""

    block_out_channels: tuple[int, ...]


class UNetParts(Protocol):
    """The parts of a U-Net."""

    config: UNetConfig
    conv_in: nn.Module
    down_blocks: list[DownBlock]
    mid_block: Block
    up_blocks: list[UpBlock]


def unet_of(network: nn.Module, what: str) -> UNetParts:
    """Return the network, which must be a U-Net.

    Raises:
        WrongNetworkError: it isn't; `what` names who needs one.
    """
    if not hasattr(network, "up_blocks"):
        raise WrongNetworkError(
            code="wrong_network", what=what, wanted="a U-Net (SD 1.x, SD 2.x, SDXL)"
        )
    return cast("UNetParts", network)


def self_attentions(part: object) -> Iterator[nn.Module]:
    """Yield the self-attentions of a part of a U-Net, from the outside in."""
    return _named_modules(part, (".attn1",))


def all_attentions(part: object) -> Iterator[nn.Module]:
    """Yield the self-attentions of a part of a U-Net, and those that read the text."""
    return _named_modules(part, (".attn1", ".attn2"))


def _named_modules(part: object, ends: tuple[str, ...]) -> Iterator[nn.Module]:
    modules = cast("Iterator[tuple[str, nn.Module]]", cast("nn.Module", part).named_modules())
    for name, module in modules:
        if name.endswith(ends):
            yield module


def input_blocks(unet: UNetParts) -> list[list[nn.Module]]:
    """Return the modules of each block on the way down, as the original layout numbers them."""
    found = [[unet.conv_in]]
    for block in unet.down_blocks:
        attentions = attentions_of(block)
        for resnet, attention in zip(block.resnets, attentions, strict=True):
            found.append([resnet, *([] if attention is None else [attention])])
        found += [[downsampler] for downsampler in block.downsamplers or ()]
    return found


def join_by(unet: UNetParts, join: Join) -> None:
    """Apply a function to backbone and skip connection wherever they are concatenated."""
    for block in unet.up_blocks:
        if not hasattr(block, "joins"):
            block.joins = []
            block.forward = partial(_up, block)
        block.joins.append(join)


def _up(
    block: UpBlock,
    hidden_states: Tensor,
    res_hidden_states_tuple: tuple[Tensor, ...],
    temb: Tensor,
    upsample_size: tuple[int, int] | None = None,
    **text: Any,
) -> Tensor:
    """Run a level on the way up as its own `forward` does, with its joins."""
    hidden, skips = hidden_states, reversed(res_hidden_states_tuple)
    for resnet, attention, side in zip(block.resnets, attentions_of(block), skips, strict=True):
        skip = side
        for join in block.joins:
            hidden, skip = join(hidden, skip)
        hidden = cast("Tensor", resnet(torch.cat([hidden, skip], dim=1), temb))
        if attention is not None:
            (hidden,) = cast("tuple[Tensor]", attention(hidden, **text, return_dict=False))
    for upsampler in block.upsamplers or ():
        hidden = cast("Tensor", upsampler(hidden, upsample_size))
    return hidden


def attentions_of(block: Block) -> list[nn.Module | None]:
    """Return the transformers of a level; None for each resnet that is followed by none."""
    found = cast("nn.ModuleList | None", getattr(block, "attentions", None))
    return [None] * len(block.resnets) if found is None else list(found)
