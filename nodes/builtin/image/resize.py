"""The node that resizes an image or a mask in any of nine ways."""

import math
from dataclasses import dataclass
from typing import Annotated, TypeAlias, TypeVar, cast

from pydantic import Field
from torch import Tensor

from nodegraph.definition.markers import DynamicCombo, Name, Step
from nodegraph.definition.node import node
from nodegraph.graph.sockets import Socket
from nodes.imaging.resize import Crop, ImageMethod, resize
from nodes.values import Image, Mask

Length: TypeAlias = Annotated[int, Field(ge=0, le=8192), Step(1)]
Picture = TypeVar("Picture", Image, Mask)

_MEGAPIXEL = 1024 * 1024
_MASK_DIMENSIONS = 3


@dataclass(frozen=True, slots=True)
class Size:
    """A size to resize to."""

    width: int
    height: int
    crop: Crop = "disabled"


@dataclass(frozen=True, slots=True)
class ByMultiplier:
    """Both sides are multiplied."""

    multiplier: Annotated[float, Field(ge=0.01, le=8.0), Step(0.01)] = 1.0

    def of(self, width: int, height: int) -> Size:
        """Return the size for an image of this one."""
        return Size(round(width * self.multiplier), round(height * self.multiplier))


@dataclass(frozen=True, slots=True)
class ToDimensions:
    """Both sides are given; one of 0 follows from the other."""

    width: Length = 512
    height: Length = 512
    crop: Crop = "center"

    def of(self, width: int, height: int) -> Size:
        """Return the size for an image of this one."""
        wide = self.width or round(width * self.height / height)
        high = self.height or round(height * self.width / width)
        return Size(wide or width, high or height, self.crop)


@dataclass(frozen=True, slots=True)
class ToLonger:
    """The longer side is given."""

    longer_size: Length = 512

    def of(self, width: int, height: int) -> Size:
        """Return the size for an image of this one."""
        return _scale_by(width, height, self.longer_size / max(width, height))


@dataclass(frozen=True, slots=True)
class ToShorter:
    """The shorter side is given."""

    shorter_size: Length = 512

    def of(self, width: int, height: int) -> Size:
        """Return the size for an image of this one."""
        return _scale_by(width, height, self.shorter_size / min(width, height))


@dataclass(frozen=True, slots=True)
class ToWidth:
    """The width is given."""

    width: Length = 512

    def of(self, width: int, height: int) -> Size:
        """Return the size for an image of this one."""
        return _scale_by(width, height, self.width / width)


@dataclass(frozen=True, slots=True)
class ToHeight:
    """The height is given."""

    height: Length = 512

    def of(self, width: int, height: int) -> Size:
        """Return the size for an image of this one."""
        return _scale_by(width, height, self.height / height)


@dataclass(frozen=True, slots=True)
class ToPixels:
    """The number of pixels is given, in units of 1024 * 1024."""

    megapixels: Annotated[float, Field(ge=0.01, le=16.0), Step(0.01)] = 1.0

    def of(self, width: int, height: int) -> Size:
        """Return the size for an image of this one."""
        return _scale_by(width, height, math.sqrt(self.megapixels * _MEGAPIXEL / (width * height)))


@dataclass(frozen=True, slots=True)
class ToMatch:
    """The size is that of another image or mask."""

    match: Annotated[Tensor, Socket("IMAGE,MASK")]
    crop: Crop = "center"

    def of(self, width: int, height: int) -> Size:
        """Return the size for an image of this one."""
        del width, height
        high, wide = _sides(self.match)
        return Size(wide, high, self.crop)


@dataclass(frozen=True, slots=True)
class ToMultiple:
    """Both sides are rounded down to a multiple; what does not fit is cropped evenly."""

    multiple: Annotated[int, Field(ge=1, le=8192), Step(1)] = 8

    def of(self, width: int, height: int) -> Size:
        """Return the size for an image of this one."""
        wide, high = (max(1, side // self.multiple) * self.multiple for side in (width, height))
        return Size(wide, high, "center")


Way: TypeAlias = (
    ByMultiplier
    | ToDimensions
    | ToLonger
    | ToShorter
    | ToWidth
    | ToHeight
    | ToPixels
    | ToMatch
    | ToMultiple
)
_WAYS: dict[str, type] = {
    "scale by multiplier": ByMultiplier,
    "scale dimensions": ToDimensions,
    "scale longer dimension": ToLonger,
    "scale shorter dimension": ToShorter,
    "scale width": ToWidth,
    "scale height": ToHeight,
    "scale total pixels": ToPixels,
    "match size": ToMatch,
    "scale to multiple": ToMultiple,
}


@node("ResizeImageMaskNode", category="image/transform", display_name="Resize Image/Mask")
def resize_image_mask_node(
    input: Picture,
    resize_type: Annotated[Way, DynamicCombo(_WAYS)] = ByMultiplier(),
    scale_method: ImageMethod = "area",
) -> Annotated[Picture, Name("resized")]:
    """Resize an image or a mask: by a factor, to a width, a height or both, to a number of pixels.

    Where one side is given, the other follows from the aspect ratio. `crop: center` first crops to
    the new aspect ratio. Each side keeps at least one pixel.
    """
    picture = cast("Tensor", input)
    height, width = _sides(picture)
    size = resize_type.of(width, height)
    wide, high = max(1, size.width), max(1, size.height)
    if picture.ndim == _MASK_DIMENSIONS:
        found = resize(picture[:, None], wide, high, scale_method, size.crop)[:, 0]
    else:
        channels = picture.movedim(-1, 1)
        found = resize(channels, wide, high, scale_method, size.crop).movedim(1, -1)
    return cast("Picture", found)


def _sides(picture: Tensor) -> tuple[int, int]:
    """Return the height and width of an image or a mask."""
    height, width = picture.shape[1:3]
    return height, width


def _scale_by(width: int, height: int, factor: float) -> Size:
    return Size(round(width * factor), round(height * factor))
