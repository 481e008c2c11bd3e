"""The values that travel along links: frozen, with their shapes and ranges written down."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol, TypeAlias

from torch import Tensor, nn

from nodes.sampling.conditioning.latents import LatentFormat


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in latent pixels: an area that one condition holds for."""

    height: int
    width: int
    y: int
    x: int


@dataclass(frozen=True, slots=True, eq=False)
class ConcatLatent:
    """A picture that some models read together with the latent, channel upon channel."""

    latent: Tensor
    """[batch or 1, channels, h, w] in the VAE's space, at any size."""
    mask: Tensor | None = None
    """[batch or 1, 1, height, width] in [0, 1] at any size; 1 is where it is made anew."""


@dataclass(frozen=True, slots=True)
class AreaShare:
    """The same in parts of the latent's height and width, from 0 to 1."""

    height: float
    width: float
    y: float
    x: float

    def of(self, height: int, width: int) -> Area:
        """The area in a latent of that size; at least one pixel each way."""
        return Area(
            max(1, round(self.height * height)),
            max(1, round(self.width * width)),
            round(self.y * height),
            round(self.x * width),
        )


@dataclass(frozen=True, slots=True)
class Cond:
    """One condition: an encoded text, and where and when it holds."""

    tokens: Tensor
    """[1, length, dim] float32: the text encoder's hidden states."""
    pooled: Tensor | None = None
    """[1, dim] float32: the text as one vector, where the encoder gives one."""
    area: Area | None = None
    share: AreaShare | None = None
    """The area where its size is not known yet: stands before `area`."""
    strength: float = 1.0
    mask: Tensor | None = None
    """[batch or 1, height, width] in [0, 1], at any size."""
    mask_strength: float = 1.0
    mask_bounds: bool = False
    """Whether the area is the mask's bounding box (`set_cond_area: mask bounds`)."""
    start: float = 0.0
    end: float = 1.0
    """The part of the schedule it holds for, as a fraction: 0 is pure noise, 1 the image."""
    sample: int | None = None
    """Which image of the batch it holds for; None means all."""
    extras: Mapping[str, object] = field(default_factory=dict[str, object])
    """What families and other packs add (guidance, sizes); carried along."""
    controls: tuple["Control", ...] = ()
    """What steers the network besides; their effects add up."""
    pictures: tuple["PicturePrompt", ...] = ()
    """What it shows a model that reads pictures; they add up."""
    boxes: tuple["Box", ...] = ()
    """What is to be drawn where."""
    concat: ConcatLatent | None = None
    """Read by models that take more channels than the latent's; others leave it alone."""
    alterations: tuple["Alteration", ...] = ()
    """What is changed inside of the network that is asked for it."""


@dataclass(frozen=True, slots=True, eq=False)
class PicturePrompt:
    """Pictures as a vision encoder sees them, for a model that was trained to read that."""

    embeds: Tensor
    """[batch, dim] float32: one vector each."""
    strength: float = 1.0
    noise: float = 0.0
    """How much noise is added, so that less of them is copied: 0 to 1."""


CONTROL_TEXT = "cross_attn_controlnet"
"""Which of a condition's extras controls read instead of its tokens: [1, length, dim] too."""


REFERENCES = "reference_latents"
"""Which of a condition's extras are latents to look at: a tuple, each like `Latent.samples`."""


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """A text for a rectangle."""

    text: Tensor
    """[1, dim] float32: as one vector."""
    area: Area
    patch: Hashable
    """The patch that lets a network read it; the last box's counts."""


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What a prompt becomes: the conditions that hold together, averaged by strength."""

    __socket__: ClassVar = "CONDITIONING"

    conds: tuple[Cond, ...]


@dataclass(frozen=True, slots=True)
class CondBatch:
    """Conditions as a model call takes them, one row a sample of the batch."""

    tokens: Tensor
    """[batch, length, dim]."""
    pooled: Tensor | None = None
    """[batch, dim]."""
    extras: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    """Whatever else the family reads, [batch, …] each."""
    controls: tuple["Control", ...] = ()
    """The same for every row."""
    chunks: int = 1
    """The number of conditions: each has batch / chunks rows, one below the other."""
    alterations: tuple["Alteration", ...] = ()
    """The same for every row."""
    residuals: "Residuals" = field(default_factory=dict[str, tuple[Tensor, ...]])
    """What the controls make of it."""
    concat_input: Tensor | None = None
    """[batch, channels, h, w]: what the network reads with the latent, channel upon channel."""
    patch: Hashable = None
    """What lets the network read boxes, if these conditions have some."""


Residuals: TypeAlias = Mapping[str, tuple[Tensor, ...]]
"""What is added to a network's inner states, by the part of the network, block by block."""


@dataclass(frozen=True, slots=True, eq=False)
class ControlCall:
    """One call of a model, as its controls see it."""

    x: Tensor
    """[batch, channels, h, w]: the latent as the network takes it."""
    sigma: Tensor
    """[batch]."""
    timestep: Tensor
    """[batch]: what the network is told instead."""
    cond: CondBatch
    sigma_at: Callable[[float], float]
    """From a fraction of the schedule to the level there."""
    module: nn.Module
    """The network that is steered."""
    latents: LatentFormat
    """How the latent relates to the VAE's."""


class Alteration(Protocol):
    """Changes what goes on inside of a network; hashable and equal by content."""

    def __hash__(self) -> int: ...

    def alter(self, network: nn.Module) -> None:
        """Change a copy of the network that shares its weights, which stay as they are.

        Raises:
            NodeGraphError: it isn't for a network of this kind.
        """
        ...


class Control(Protocol):
    """Steers a network by what it adds to its inner states; equal ones share a model call."""

    @property
    def both_sides(self) -> bool:
        """Whether it holds for negative conditions too, unless these have their own."""
        ...

    def check(self, network: Mapping[str, object]) -> None:
        """Make sure that it fits a network of this configuration.

        Raises:
            NodeGraphError: it was made for another one.
        """
        ...

    def residuals(self, call: ControlCall) -> Residuals:
        """What it adds; nothing outside its part of the schedule."""
        ...


def summed(call: ControlCall) -> Residuals:
    """What the controls of a call add together; they may have a text of their own to read."""
    told = call.cond.extras.get(CONTROL_TEXT)
    if told is not None:
        call = replace(call, cond=replace(call.cond, tokens=told))
    total: dict[str, tuple[Tensor, ...]] = {}
    for control in call.cond.controls:
        for part, states in control.residuals(call).items():
            before = total.get(part)
            total[part] = (
                tuple(a + b for a, b in zip(before, states, strict=True)) if before else states
            )
    return total
