"""What a file says of a network that steers another; like `nodes.models.families.base.spec`."""

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
"""What becomes of a picture's values before they are encoded."""


@dataclass(frozen=True, slots=True)
class ControlSpec:
    """A network that steers another."""

    network: NetworkSpec
    kinds: Mapping[str, int] = field(default_factory=dict[str, int])
    """The kinds of hint that it tells apart, each with its number; empty where there is one."""
    reads: Reads = "pixels"
    channels: int = 0
    """How many the latents have that it reads."""
    masked: bool = False
    """Whether it is told which part of the hint counts."""
    change: Change = "none"
