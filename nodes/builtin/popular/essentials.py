"""Node types of ComfyUI_essentials: sizes of images, formulas, and a preview of masks."""

from typing import Annotated, Literal, NamedTuple, NoReturn, TypeAlias

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Name, Optional, Step, Widget
from nodegraph.definition.node import node
from nodegraph.errors import NodeGraphError, short_repr
from nodegraph.graph.results import Ui
from nodes.builtin.image.files import show_mask
from nodes.builtin.inputs import SideOrAuto
from nodes.builtin.logic.expressions import evaluate
from nodes.imaging.resize import lanczos
from nodes.values import Image, Mask

Interpolation: TypeAlias = Literal[
    "nearest", "bilinear", "bicubic", "area", "nearest-exact", "lanczos"
]
Method: TypeAlias = Literal["stretch", "keep proportion", "fill / crop", "pad"]
Condition: TypeAlias = Literal[
    "always", "downscale if bigger", "upscale if smaller", "if bigger area", "if smaller area"
]

Operand = Annotated[object, Optional()]

_CATEGORY = "popular/essentials"
_HIDDEN = ("prompt", "extra_pnginfo")
_LARGEST = 16384


class SizedImage(NamedTuple):
    """The outputs of `ImageResize+`."""

    image: Image
    width: int
    height: int


class RoundedAndExact(NamedTuple):
    """The outputs of `SimpleMath+`."""

    INT: int
    FLOAT: float


class ImageSize(NamedTuple):
    """The outputs of `GetImageSize+`."""

    width: int
    height: int
    images: Annotated[int, Name("count")]


@node("ImageResize+", category=_CATEGORY, display_name="Image Resize", gives_way=True)
def image_resize(
    *,
    image: Image,
    width: SideOrAuto = 512,
    height: SideOrAuto = 512,
    interpolation: Interpolation,
    method: Method,
    condition: Condition,
    multiple_of: Annotated[int, Field(ge=0, le=512), Step(1)] = 0,
) -> SizedImage:
    """Resize images to a size, or into it.

    `keep proportion` makes them fit inside, `pad` centres that on black, `fill / crop` cuts off
    what sticks out. A width or height of 0 stands for the image's own, or for one without a limit
    if the other is the larger one. If the condition is not met, the images stay as they are. In
    the end the sides are cropped to multiples of `multiple_of`.
    """
    if multiple_of > 1:
        width, height = width // multiple_of * multiple_of, height // multiple_of * multiple_of
    own = (image.shape[2], image.shape[1])
    target = _target(own, (width, height), method)
    if _is_met(condition, own, target):
        image = _resize(image, target, interpolation)
        if method == "pad":
            image = _pad(image, (width or own[0], height or own[1]))
        elif method == "fill / crop":
            image = _crop(image, (width or own[0], height or own[1]))
    if multiple_of > 1:
        high, wide = (side // multiple_of * multiple_of for side in image.shape[1:3])
        image = _crop(image, (wide, high))
    image = image.clamp(0.0, 1.0).contiguous()
    return SizedImage(image, image.shape[2], image.shape[1])


@node("GetImageSize+", category=_CATEGORY, display_name="Get Image Size", gives_way=True)
def get_image_size(image: Image) -> ImageSize:
    """Tell the width and height of images in pixels, and the number of images."""
    return ImageSize(image.shape[2], image.shape[1], len(image))


@node("SimpleMath+", category=_CATEGORY, display_name="Simple Math", gives_way=True)
def simple_math(
    value: Annotated[str, Widget(multiline=False)] = "",
    a: Operand = 0.0,
    b: Operand = 0.0,
    c: Operand = 0.0,
) -> RoundedAndExact:
    """Calculate a formula of a, b and c, such as `a * 2 + min(b, c)`; as in `ComfyMathExpression`.

    Of images and other tensors it reads the shape: `a[2]` is the width of images. The first output
    is rounded.
    """
    found = evaluate(value, {"a": _operand(a), "b": _operand(b), "c": _operand(c)})
    return RoundedAndExact(round(found), float(found))


def _operand(value: object) -> int | float | list[int | float]:
    """Return a value as formulas read it.

    Raises:
        NodeGraphError: it is neither a number, nor a text of one, nor a tensor.
    """
    if isinstance(value, Tensor):
        return [*value.shape]
    if isinstance(value, int | float):
        return value
    try:
        return float(value) if isinstance(value, str) else _refuse(value)
    except ValueError:
        return _refuse(value)


def _refuse(value: object) -> NoReturn:
    message = f"{short_repr(value)} is no number."
    raise NodeGraphError(message, hint="Link a number, a text of one, or an image for its size.")


@node(
    "MaskPreview+",
    category=_CATEGORY,
    display_name="Mask Preview",
    output_node=True,
    writes_only=True,
    hidden=_HIDDEN,
    gives_way=True,
)
def mask_preview_plus(mask: Mask, ctx: Context) -> Ui:
    """Show masks without keeping them; see `MaskPreview`."""
    return show_mask(mask, ctx)


Size: TypeAlias = tuple[int, int]
"""A width and a height."""


def _target(own: Size, asked: Size, method: Method) -> Size:
    """Return the size that an image is scaled to, before it is padded or cropped."""
    width, height = asked
    if method in ("keep proportion", "pad"):
        width = width or (_LARGEST if own[1] < height else own[0])
        height = height or (_LARGEST if own[0] < width else own[1])
        ratio = min(width / own[0], height / own[1])
    elif method == "fill / crop":
        ratio = max((width or own[0]) / own[0], (height or own[1]) / own[1])
    else:
        return width or own[0], height or own[1]
    return max(1, round(own[0] * ratio)), max(1, round(own[1] * ratio))


def _is_met(condition: Condition, own: Size, target: Size) -> bool:
    """Say if an image of a size is to be scaled to another."""
    return {
        "always": True,
        "downscale if bigger": own[1] > target[1] or own[0] > target[0],
        "upscale if smaller": own[1] < target[1] or own[0] < target[0],
        "if bigger area": own[0] * own[1] > target[0] * target[1],
        "if smaller area": own[0] * own[1] < target[0] * target[1],
    }[condition]


def _resize(image: Tensor, size: Size, interpolation: Interpolation) -> Tensor:
    x = image.movedim(-1, 1)
    if interpolation == "lanczos":
        return lanczos(x, *size).movedim(1, -1)
    return functional.interpolate(x, size=size[::-1], mode=interpolation).movedim(1, -1)


def _pad(image: Tensor, asked: Size) -> Tensor:
    """Centre images on black of a size."""
    across, down = (
        max(0, whole - side) for whole, side in zip(asked, image.shape[2:0:-1], strict=True)
    )
    left, top = across // 2, down // 2
    return functional.pad(image, (0, 0, left, across - left, top, down - top))


def _crop(image: Tensor, size: Size) -> Tensor:
    """Return the centre of images; whole sides that are not larger."""
    width, height = min(size[0], image.shape[2]), min(size[1], image.shape[1])
    left, top = (image.shape[2] - width) // 2, (image.shape[1] - height) // 2
    return image[:, top : top + height, left : left + width]
