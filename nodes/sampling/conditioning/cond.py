"""Conditions: encoded prompts with the area, mask and part of the schedule that they hold for.

Nodes make a `Conditioning` of `Cond`s; a model call takes them as a `CondBatch`. `Control` and
`Alteration` are the protocols of ControlNets and of network patches that travel with a condition.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol, TypeAlias, runtime_checkable

from torch import Tensor, nn

from nodes.sampling.conditioning.latents import LatentFormat
from nodes.sampling.conditioning.run_memory import RunMemory


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in latent pixels: an area that one condition holds for."""

    __data__: ClassVar = True

    height: int
    width: int
    y: int
    x: int


@dataclass(frozen=True, slots=True, eq=False)
class ConcatLatent:
    """An image latent that inpainting and edit models read as extra input channels (c_concat)."""

    __data__: ClassVar = True

    latent: Tensor
    """[batch or 1, channels, h, w] in the VAE's space, at any size."""
    mask: Tensor | None = None
    """[batch or 1, 1, height, width] in [0, 1] at any size; 1 is where it is denoised."""


@dataclass(frozen=True, slots=True)
class RelativeArea:
    """A rectangle in fractions of the latent's height and width, from 0 to 1."""

    __data__: ClassVar = True

    height: float
    width: float
    y: float
    x: float

    def to_pixels(self, height: int, width: int) -> Area:
        """Return the area in a latent of that size; at least one pixel each way."""
        return Area(
            max(1, round(self.height * height)),
            max(1, round(self.width * width)),
            round(self.y * height),
            round(self.x * width),
        )


@dataclass(frozen=True, slots=True)
class Cond:
    """One condition: an encoded text, and where and when it holds."""

    __data__: ClassVar = True

    tokens: Tensor
    """[1, length, dim] float32: the text encoder's hidden states."""
    pooled: Tensor | None = None
    """[1, dim] float32: the text as one vector, where the encoder gives one."""
    area: Area | None = None
    relative_area: RelativeArea | None = None
    """Becomes the `area` once the latent's size is known."""
    strength: float = 1.0
    mask: Tensor | None = None
    """[batch or 1, height, width] in [0, 1], at any size."""
    mask_strength: float = 1.0
    mask_bounds: bool = False
    """Use the mask's bounding box as the area (`set_cond_area: mask bounds`)."""
    start: float = 0.0
    end: float = 1.0
    """The part of the schedule it holds for, as a fraction: 0 is pure noise, 1 the image."""
    sample: int | None = None
    """The index of the one image of the batch that it holds for; None means all."""
    extras: Mapping[str, object] = field(default_factory=dict[str, object])
    """Values that families and other packs add (guidance, sizes)."""
    controls: tuple["Control", ...] = ()
    """ControlNets and the like; their effects add up."""
    image_prompts: tuple["ImagePrompt", ...] = ()
    """Images for unCLIP models; they add up."""
    boxes: tuple["Box", ...] = ()
    """GLIGEN's texts for rectangles."""
    concat: ConcatLatent | None = None
    """Read by models that take more channels than the latent's; others leave it alone."""
    alterations: tuple["Alteration", ...] = ()
    """Changes inside the network, for predictions of this condition only."""


@dataclass(frozen=True, slots=True, eq=False)
class ImagePrompt:
    """Images as a CLIP vision encoder sees them, for models that read its vectors (unCLIP)."""

    __data__: ClassVar = True

    embeds: Tensor
    """[batch, dim] float32: one vector each."""
    strength: float = 1.0
    noise: float = 0.0
    """The amount of noise added to the vectors, from 0 to 1: with more, less is copied."""


CONTROL_TEXT = "cross_attn_controlnet"
"""The key in a condition's extras of tokens that ControlNets read instead: [1, length, dim]."""


REFERENCES = "reference_latents"
"""The key in a condition's extras of reference latents: a tuple, each like `Latent.samples`."""


TOKEN_IDS, TOKEN_WEIGHTS = "{}_ids", "{}_weights"
"""The keys in a condition's extras of tokens that a network reads itself, [1, tokens] each, by the
text encoder that they are of."""


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """A text for a rectangle (GLIGEN)."""

    text: Tensor
    """[1, dim] float32: as one vector."""
    area: Area
    patch: Hashable
    """The patch that lets a network read it; the last box's counts."""


@dataclass(frozen=True, slots=True)
class Conditioning:
    """A prompt's conditions; where several overlap, they are averaged by strength."""

    __socket__: ClassVar = "CONDITIONING"
    __data__: ClassVar = True
    __lasting__: ClassVar = True

    conds: tuple[Cond, ...]


@dataclass(frozen=True, slots=True)
class RowRange:
    """The rows of a model call that is made in parts: those of one part."""

    start: int
    """The first of them in the whole call."""
    rows: int
    """Of the whole call."""
    chunks: int
    """The number of conditions in the whole call."""


@dataclass(frozen=True, slots=True)
class CondBatch:
    """Conditions as a model call takes them, one row a sample of the batch."""

    tokens: Tensor
    """[batch, length, dim]."""
    pooled: Tensor | None = None
    """[batch, dim]."""
    extras: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    """Further inputs of the family's network, [batch, …] each."""
    controls: tuple["Control", ...] = ()
    """The same for every row."""
    chunks: int = 1
    """The number of conditions: each has batch / chunks rows, one below the other."""
    branches: tuple[int, ...] = ()
    """The branch of each condition: 0 positive, 1 negative, more for others; empty if not known."""
    is_uniform: bool = False
    """True if the rows of each condition are equal to each other, and as many as of the others."""
    alterations: tuple["Alteration", ...] = ()
    """The same for every row."""
    residuals: "Residuals" = field(default_factory=dict[str, tuple[Tensor, ...]])
    """The sums of what the controls add to the network's inner states."""
    concat_input: Tensor | None = None
    """[batch, channels, h, w]: the network's extra input channels."""
    patch: Hashable = None
    """See `Box.patch`; None without boxes."""
    part: RowRange | None = None
    """The place of the rows in a call that is made in parts; None if it is made at once."""


Residuals: TypeAlias = Mapping[str, tuple[Tensor, ...]]
"""The tensors to add to a network's inner states, by the part of the network, block by block.

Those of one part, `STATES`, are each a `StateResidual`, which becomes one when it is added."""


@dataclass(frozen=True, slots=True, eq=False)
class ControlCall:
    """One call of a model, as its controls see it."""

    x: Tensor
    """[batch, channels, h, w]: the latent as the network takes it."""
    sigma: Tensor
    """[batch]."""
    timestep: Tensor
    """[batch]: the network's own time for that sigma."""
    cond: CondBatch
    sigma_at: Callable[[float], float]
    """A function from a fraction of the schedule to the level there."""
    module: nn.Module
    """The network that is steered."""
    latents: LatentFormat
    """Converts the latent to the VAE's space."""
    weights: Callable[[], Mapping[str, Tensor]]
    """Returns that network's weights, by its own keys; equal for equal weights."""
    memory: RunMemory = field(default_factory=lambda: RunMemory(most=0))
    """Keeps what is the same in all calls of a run."""
    strength: float = 1.0
    """Of the control that is asked, which its residuals are multiplied by afterwards."""


class Alteration(Protocol):
    """Changes what goes on inside of a network; hashable and equal by content."""

    def __hash__(self) -> int: ...

    def alter(self, network: nn.Module) -> None:
        """Change a copy of the network that shares its weights, which stay as they are.

        Raises:
            NodeGraphError: it isn't for a network of this kind.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ForwardPass:
    """One prediction of x0 by a network."""

    x: Tensor
    """[batch, channels, h, w] float32, in the model's space."""
    sigma: Tensor
    """[batch]."""
    cond: CondBatch
    memory: RunMemory
    """Keeps what is the same in all passes of a run."""


NetworkRun: TypeAlias = Callable[[Tensor, Tensor, CondBatch], Tensor]
"""A function from the network's latent, its timestep and the conditions to the network's output."""


@runtime_checkable
class ForwardWrapper(Protocol):
    """An alteration that also has a say in each pass as a whole; the last one of a pass counts."""

    def predict(self, forward: Callable[[ForwardPass], Tensor], asked: ForwardPass) -> Tensor:
        """Return x0, shaped as `asked.x`; `forward` makes it in the usual way."""
        ...

    def run(
        self, network: NetworkRun, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch
    ) -> Tensor:
        """Return the network's output; `network` makes it in the usual way.

        Args:
            network: runs the network.
            module: the network.
            x: what it reads, scaled and with everything that is concatenated.
            timestep: [batch].
            cond: with the residuals of controls.
        """
        ...


class Control(Protocol):
    """Steers a network by what it adds to its inner states; equal ones share a model call."""

    @property
    def applies_to_uncond(self) -> bool:
        """True if it holds for negative conditions, too, unless these have their own."""
        ...

    def check(self, network: Mapping[str, object]) -> None:
        """Make sure that it fits a network of this configuration.

        Raises:
            NodeGraphError: it was made for another one.
        """
        ...

    def residuals(self, call: ControlCall) -> Residuals:
        """Return the tensors to add; none outside its part of the schedule."""
        ...


def sum_controls(call: ControlCall) -> Residuals:
    """Return the sums of the controls' residuals; they read `CONTROL_TEXT` if there is one."""
    control_tokens = call.cond.extras.get(CONTROL_TEXT)
    if control_tokens is not None:
        call = replace(call, cond=replace(call.cond, tokens=control_tokens))
    total: dict[str, tuple[Tensor, ...]] = {}
    for control in call.cond.controls:
        for part, states in control.residuals(call).items():
            before = total.get(part)
            total[part] = (
                tuple(a + b for a, b in zip(before, states, strict=True)) if before else states
            )
    return total
