"""The record of a ControlNet's file, beside those of `nodes.models.families.base.spec`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from nodes.models.families.base.spec import NetworkSpec

KINDS = (
    "openpose",
    "depth",
    "hed/pidi/scribble/ted",
    "canny/lineart/anime_lineart/mlsd",
    "normal",
    "segment",
    "tile",
    "repaint",
)
"""The kinds of hint, in the order in which union ControlNets for SDXL number them."""
Reads: TypeAlias = Literal["pixels", "latent"]
Change: TypeAlias = Literal["none", "edges", "inverted"]
"""The change to a picture's values before they are encoded."""


@dataclass(frozen=True, slots=True)
class ControlSpec:
    """A ControlNet or T2I-Adapter: its network, and the hints that it reads."""

    network: NetworkSpec
    kinds: Mapping[str, int] = field(default_factory=dict[str, int])
    """The number of each kind of hint that it tells apart; empty if it knows one kind only."""
    reads: Reads = "pixels"
    channels: int = 0
    """The channels of the latents that it reads."""
    masked: bool = False
    """True if it also reads a mask of the hint."""
    fills: bool = False
    """True if it can also read a masked picture to fill, beside the one that it follows."""
    change: Change = "none"
