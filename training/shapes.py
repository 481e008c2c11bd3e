"""The pictures of the data set: one shape of one colour on a plain background.

Everything is drawn from signed distance functions (negative inside the shape), so edges are
anti-aliased and shapes can be moved and scaled continuously.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

SIZE = 64
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "ring")
PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (220, 30, 30),
    "green": (30, 160, 50),
    "blue": (30, 60, 220),
    "yellow": (250, 220, 30),
    "orange": (250, 130, 20),
    "purple": (130, 40, 170),
    "white": (250, 250, 250),
    "black": (10, 10, 10),
    "cyan": (30, 210, 220),
    "pink": (250, 130, 190),
}
COLOURS = tuple(PALETTE)
CENTRES = (16.0, 32.0, 48.0)
RADII = {"small": 9.0, "large": 14.0}
SIZES = tuple(RADII)
OFFSET_JITTER = 1.5  # pixels
RADIUS_JITTER = 0.06  # fraction of the radius
STROKE = 2.0  # pixels, for outlines

Distance = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Scenes:
    """A batch of pictures to draw; every field has shape [batch]."""

    shape: Tensor  # index into SHAPES
    colour: Tensor  # index into COLOURS
    background: Tensor  # index into COLOURS
    position: Tensor  # 0 to 8, row by row from the top left
    size: Tensor  # index into SIZES
    x: Tensor  # centre in pixels
    y: Tensor
    radius: Tensor

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.shape)

    def __getitem__(self, index: Tensor | slice) -> "Scenes":
        """A part of the batch."""
        return Scenes(*(getattr(self, field.name)[index] for field in fields(self)))


def place(
    shape: Tensor,
    colour: Tensor,
    background: Tensor,
    position: Tensor,
    size: Tensor,
    generator: torch.Generator | None = None,
) -> Scenes:
    """Turn attributes into scenes: centre and radius, jittered if there is a generator."""
    centres, radii = torch.tensor(CENTRES), torch.tensor(list(RADII.values()))
    jitter = torch.zeros(3, len(shape))
    if generator is not None:
        jitter = torch.rand(3, len(shape), generator=generator) * 2 - 1
    return Scenes(
        *(shape, colour, background, position, size),
        x=centres[position % 3] + OFFSET_JITTER * jitter[0],
        y=centres[position // 3] + OFFSET_JITTER * jitter[1],
        radius=radii[size] * (1 + RADIUS_JITTER * jitter[2]),
    )


def _box(x: Tensor, y: Tensor, half_width: Tensor, half_height: Tensor) -> Tensor:
    return torch.maximum(x.abs() - half_width, y.abs() - half_height)


def _circle(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    return torch.hypot(x, y) - r


def _square(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    return _box(x, y, 0.86 * r, 0.86 * r)


def _triangle(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    # Apex (0, -r), base from (-r, r) to (r, r): the sides have slope 2.
    return torch.maximum((2 * x.abs() - y - r) / 5**0.5, y - r)


def _diamond(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    return (x.abs() + y.abs() - 1.1 * r) / 2**0.5


def _cross(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    return torch.minimum(_box(x, y, r, 0.34 * r), _box(x, y, 0.34 * r, r))


def _ring(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    return (torch.hypot(x, y) - 0.76 * r).abs() - 0.24 * r


DISTANCES: tuple[Distance, ...] = (_circle, _square, _triangle, _diamond, _cross, _ring)


def distance(scenes: Scenes) -> Tensor:
    """Signed distance of every pixel to its picture's shape: [batch, 64, 64] in pixels."""
    pixels = torch.arange(SIZE) + 0.5
    x = pixels.view(1, 1, -1) - scenes.x.view(-1, 1, 1)
    y = pixels.view(1, -1, 1) - scenes.y.view(-1, 1, 1)
    radius = scenes.radius.view(-1, 1, 1)
    out = torch.empty(len(scenes), SIZE, SIZE)
    for index, function in enumerate(DISTANCES):
        chosen = scenes.shape == index
        out[chosen] = function(x[chosen], y[chosen], radius[chosen])
    return out


def coverage(scenes: Scenes, *, outline: bool = False) -> Tensor:
    """Return the share of each pixel that the shape covers: [batch, 64, 64] in [0, 1]."""
    signed = distance(scenes)
    if outline:
        signed = (signed + STROKE / 2).abs() - STROKE / 2
    return (0.5 - signed).clamp(0, 1)


def palette() -> Tensor:
    """The colours as [10, 3] in [0, 1]."""
    return torch.tensor(list(PALETTE.values())) / 255


def render(scenes: Scenes, *, outline: bool = False) -> Tensor:
    """Draw: [batch, 3, 64, 64] in [0, 1]."""
    cover = coverage(scenes, outline=outline).unsqueeze(1)
    colours = palette()[:, :, None, None]
    return colours[scenes.background] * (1 - cover) + colours[scenes.colour] * cover
