"""The node of ComfyUI_IPAdapter_plus that prepares an image for a vision encoder."""

from typing import Annotated, Literal, TypeAlias

import torch
from PIL import Image as PILImage
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Step
from nodegraph.definition.node import node
from nodes.imaging.codec import colours, to_bytes
from nodes.values import Image

Filter: TypeAlias = Literal["LANCZOS", "BICUBIC", "HAMMING", "BILINEAR", "BOX", "NEAREST"]
Position: TypeAlias = Literal["top", "bottom", "left", "right", "center", "pad"]

_SIDE = 224
_WEAKEST, _STRONGEST = 1 / 8, 1 / 5
"""The weight of a neighbour at sharpness 0 and 1."""


@node(
    "PrepImageForClipVision",
    category="popular/IPAdapter_plus",
    display_name="Prep Image For ClipVision",
    gives_way=True,
)
def prep_image_for_clip_vision(
    *,
    image: Image,
    interpolation: Filter,
    crop_position: Position,
    sharpening: Annotated[float, Field(ge=0.0, le=1.0), Step(0.05)] = 0.0,
    ctx: Context,
) -> Image:
    """Cut squares out of images and scale them to 224 pixels, as vision encoders read them.

    `pad` keeps the whole image, on black. `sharpening` is contrast adaptive (AMD's CAS, 2019).
    """
    square = _to_squares(image[..., :3], crop_position)
    made: list[Tensor] = []
    for each in square:
        ctx.check_cancelled()
        picture = PILImage.fromarray(to_bytes(each))
        scaled = picture.resize((_SIDE, _SIDE), PILImage.Resampling[interpolation])
        made.append(colours(scaled))
    batch = torch.stack(made).to(image)
    return _sharpen(batch, sharpening) if sharpening > 0 else batch


def _to_squares(image: Tensor, position: Position) -> Tensor:
    """Cut images to squares, or pad them to squares with black."""
    height, width = image.shape[1:3]
    if position == "pad":
        across, down = max(0, height - width), max(0, width - height)
        left, top = across // 2, down // 2
        return functional.pad(image, (0, 0, left, across - left, top, down - top))
    side = min(height, width)
    top = {"top": 0, "bottom": height - side}.get(position, (height - side) // 2)
    left = {"left": 0, "right": width - side}.get(position, (width - side) // 2)
    return image[:, top : top + side, left : left + side]


def _sharpen(images: Tensor, amount: float) -> Tensor:
    """Sharpen by the four neighbours, less where the contrast is high already."""
    x = functional.pad(images.movedim(-1, 1), (1, 1, 1, 1), mode="replicate")
    high, wide = x.shape[2] - 2, x.shape[3] - 2
    views = [
        x[..., row : row + high, column : column + wide] for row in range(3) for column in range(3)
    ]
    cross, corners = torch.stack([*views[1::2], views[4]]), torch.stack(views[::2])
    least = cross.amin(0) + corners.amin(0)
    most = cross.amax(0) + corners.amax(0)
    room = (torch.minimum(least, 2 - most) / most.clamp(min=1e-6)).clamp(0, 1).sqrt()
    weight = -room * (_WEAKEST + amount * (_STRONGEST - _WEAKEST))
    around = views[1] + views[3] + views[5] + views[7]
    return ((around * weight + views[4]) / (1 + 4 * weight)).clamp(0, 1).movedim(1, -1)
