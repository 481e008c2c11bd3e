"""Node types of KJNodes: constants, sizes and colours of images, and images side by side."""

from typing import Annotated, Literal, NamedTuple, TypeAlias

import torch
from pydantic import Field
from torch import Tensor

from nodegraph.definition.markers import Choices, Name, Numbered, Optional, Step, Widget
from nodegraph.definition.node import node
from nodegraph.errors import NodeGraphError
from nodes.builtin.image.transforms import image_stitch
from nodes.builtin.inputs import SideOrAuto
from nodes.imaging.color_match import METHODS
from nodes.imaging.resize import Crop, resize_images
from nodes.values import Image

Method: TypeAlias = Literal["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
Direction: TypeAlias = Literal["right", "down", "left", "up"]
LinkedSide = Annotated[int | None, Optional(), Widget(forceInput=True)]

_CATEGORY = "popular/KJNodes"
_MOST_INT = 2**64 - 1
_MOST_IMAGES = 24


class NamedInt(NamedTuple):
    """The output of `INTConstant`."""

    value: int


class NamedFloat(NamedTuple):
    """The output of `FloatConstant`."""

    value: float


class ImageAndCounts(NamedTuple):
    """The outputs of `GetImageSizeAndCount`."""

    image: Image
    width: int
    height: int
    number: Annotated[int, Name("count")]


class SizedImage(NamedTuple):
    """The outputs of `ImageResizeKJ`."""

    image: Image
    width: int
    height: int


class MatchedImage(NamedTuple):
    """The output of `ColorMatch`."""

    image: Annotated[Image, Name("image")]


class Images(NamedTuple):
    """The output of `ImageConcatMulti`."""

    images: Image


@node("INTConstant", category=_CATEGORY, display_name="INT Constant", gives_way=True)
def int_constant(value: Annotated[int, Field(ge=-_MOST_INT, le=_MOST_INT)] = 0) -> NamedInt:
    """Hold a whole number, for all inputs that it is linked to."""
    return NamedInt(value)


@node("FloatConstant", category=_CATEGORY, display_name="Float Constant", gives_way=True)
def float_constant(
    value: Annotated[float, Field(ge=-_MOST_INT, le=_MOST_INT), Step(0.00001)] = 0.0,
) -> NamedFloat:
    """Hold a number, for all inputs that it is linked to."""
    return NamedFloat(value)


@node("StringConstant", category=_CATEGORY, display_name="String Constant", gives_way=True)
def string_constant(string: Annotated[str, Widget(multiline=False)] = "") -> str:
    """Hold a line of text, for all inputs that it is linked to."""
    return string


@node(
    "GetImageSizeAndCount",
    category=_CATEGORY,
    display_name="Get Image Size & Count",
    gives_way=True,
)
def get_image_size_and_count(image: Image) -> ImageAndCounts:
    """Tell the width and height of images in pixels, and their number; hand the images on."""
    return ImageAndCounts(image, image.shape[2], image.shape[1], len(image))


@node(
    "ImageConcatMulti", category=_CATEGORY, display_name="Image Concatenate Multi", gives_way=True
)
def image_concat_multi(
    inputcount: Annotated[int, Field(ge=2, le=1000), Step(1)] = 2,
    direction: Direction = "right",
    match_image_size: bool = False,
    **images: Annotated[Image, Numbered("image_", 1, _MOST_IMAGES)],
) -> Images:
    """Put images side by side: each to the `direction` of those before it.

    The first `inputcount` inputs are used, without those that are not linked. With
    `match_image_size` each is scaled so that its touching side is as long as that of the first;
    otherwise smaller ones are centred on black. The shorter batch repeats its last image.
    """
    numbered = {int(name.removeprefix("image_")): image for name, image in images.items()}
    first, *rest = (numbered[number] for number in sorted(numbered) if number <= inputcount)
    for image in rest:
        first = image_stitch(first, direction, match_image_size, image2=image)
    return Images(first)


@node("ImageResizeKJ", category=_CATEGORY, display_name="Resize Image", gives_way=True)
def image_resize_kj(
    *,
    image: Image,
    width: SideOrAuto = 512,
    height: SideOrAuto = 512,
    upscale_method: Method,
    keep_proportion: bool = False,
    divisible_by: Annotated[int, Field(ge=0, le=512), Step(1)] = 2,
    width_input: LinkedSide = None,
    height_input: LinkedSide = None,
    get_image_size: Annotated[Image | None, Optional()] = None,
    crop: Annotated[Literal["disabled", "center", "0"], Optional()] = "disabled",
) -> SizedImage:
    """Resize images, to the size of `get_image_size` if that is linked.

    `width_input` and `height_input` stand before the widgets. With `keep_proportion` the images
    fit inside of the size; 0 stands for a side that follows from the other. Otherwise 0 stands for
    the image's own side. Both sides are rounded down to multiples of `divisible_by`. `0` is the
    `disabled` of files that are older than the choice.
    """
    if get_image_size is not None:
        size = (get_image_size.shape[2], get_image_size.shape[1])
    else:
        asked = (width_input or width, height_input or height)
        size = _size(image, asked, keep_proportion=keep_proportion)
        step = max(1, divisible_by)
        size = (size[0] // step * step, size[1] // step * step)
    if min(size) < 1:
        message = f"the size {size[0]}x{size[1]} has no pixels."
        hint = "Raise width and height, or lower divisible_by."
        raise NodeGraphError(message, hint=hint, input_name="width")
    cut: Crop = "center" if crop == "center" else "disabled"
    image = resize_images(image, *size, upscale_method, cut)
    return SizedImage(image, *size)


@node("ColorMatch", category=_CATEGORY, display_name="Color Match", gives_way=True)
def color_match(
    image_ref: Image,
    image_target: Image,
    method: Annotated[str, Choices(tuple(METHODS))] = "mkl",
    strength: Annotated[float, Field(ge=0.0, le=10.0), Step(0.01), Optional()] = 1.0,
    multithread: Annotated[bool, Optional()] = True,
) -> MatchedImage:
    """Give the images of `image_target` the colours of `image_ref`.

    `mkl` and `mvgd` match mean and covariance, `hm` histograms, `reinhard` mean and spread in a
    space of opponent colours; those with two `hm` do both. There are as many references as images,
    or one. `multithread` changes nothing.
    """
    del multithread
    if len(image_ref) not in (1, len(image_target)):
        message = f"there are {len(image_ref)} references for {len(image_target)} images."
        raise NodeGraphError(message, hint="Use one, or as many.", input_name="image_ref")
    made = [
        _match(image, image_ref[number % len(image_ref)], method)
        for number, image in enumerate(image_target[..., :3])
    ]
    matched = torch.stack(made)
    return MatchedImage(torch.lerp(image_target[..., :3], matched, strength).clamp(0.0, 1.0))


def _match(image: Tensor, reference: Tensor, method: str) -> Tensor:
    own, other = (
        each[..., :3].reshape(-1, 3).double().numpy(force=True) for each in (image, reference)
    )
    return torch.tensor(METHODS[method](own, other)).reshape(image.shape).to(image)


def _size(image: Tensor, asked: tuple[int, int], *, keep_proportion: bool) -> tuple[int, int]:
    """Return the width and height that images are resized to, before they are rounded down."""
    width, height = asked
    own_height, own_width = image.shape[1:3]
    if not keep_proportion or not (width or height):
        return width or own_width, height or own_height
    ratio = min(side / own for side, own in ((width, own_width), (height, own_height)) if side)
    return round(own_width * ratio), round(own_height * ratio)
