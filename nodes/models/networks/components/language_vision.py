"""Vision encoders of language models: transformers' own classes, one network for each record."""

import math
from collections.abc import Sequence
from functools import partial
from pkgutil import resolve_name
from typing import Any, Protocol, cast

import torch
from PIL import Image as PILImage
from torch import Tensor, nn

from nodes.imaging.errors import SizeLimitError
from nodes.imaging.resize import resize_8_bits
from nodes.models.families.base.language_vision import VISION_MODELS, VisionModel
from nodes.models.families.base.spec import Config
from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.pictures import PictureClass, PictureStates, PixelPatches
from nodes.models.networks.components.language_model import keep_frequencies

_NARROWEST = 200
"""The largest ratio of a picture's sides."""


class _Seen(Protocol):
    """The output of transformers' classes."""

    pooler_output: Tensor
    """[tokens, width]."""


class _Vision(Protocol):
    """The interface of transformers' classes."""

    def __call__(self, hidden_states: Tensor, grid_thw: Tensor) -> _Seen:
        """Return the tokens of pictures.

        Args:
            hidden_states: [patches, numbers].
            grid_thw: [pictures, 3]: the frames, rows and columns of each one's patches.
        """
        ...


def fitting_size(height: int, width: int, step: int, pixels: tuple[int, int]) -> tuple[int, int]:
    """Return the height and the width that a picture is resized to.

    They are multiples of `step`, nearest to the picture's own unless those have too few or too
    many pixels.

    Args:
        height: of the picture.
        width: of the picture.
        step: the pixels of a token's side.
        pixels: the least and the largest number of pixels.

    Raises:
        SizeLimitError: one side is more than 200 times the other.
    """
    if max(height, width) > _NARROWEST * min(height, width):
        raise SizeLimitError(
            code="too_narrow_picture",
            problem=f"an image of {width}x{height} pixels is too narrow for a text encoder to see",
            hint=f"Crop it: one side may be {_NARROWEST} times as long as the other.",
        )
    near = [round(side / step) * step for side in (height, width)]
    least, most = pixels
    if near[0] * near[1] > most:
        scale = math.sqrt(height * width / most)
        near = [max(step, math.floor(side / scale / step) * step) for side in (height, width)]
    elif near[0] * near[1] < least:
        scale = math.sqrt(least / (height * width))
        near = [math.ceil(side * scale / step) * step for side in (height, width)]
    return near[0], near[1]


def prepare(record: VisionModel, picture: Tensor, config: Config) -> PixelPatches:
    """Return a picture as the encoder reads it: resized, rounded to 8 bits, normalized, in patches.

    Args:
        record: of the encoder.
        picture: [height, width, 3 or 4] in [0, 1]; a fourth channel is left out.
        config: of the encoder.

    Raises:
        SizeLimitError: the picture is too narrow.
    """
    size, merge, frames = (
        config[each] for each in ("patch_size", "spatial_merge_size", "temporal_patch_size")
    )
    own = picture.shape[0], picture.shape[1]
    height, width = fitting_size(*own, size * merge, record.pixels)
    pixels = (picture[None, ..., :3].clamp(0, 1) * 255).round().to("cpu", torch.uint8)
    if (height, width) != own:
        pixels = resize_8_bits(pixels, width, height, PILImage.Resampling.BICUBIC)
    mean, deviation = (torch.tensor(row, device="cpu") for row in (record.mean, record.deviation))
    rows, columns = height // size // merge, width // size // merge
    cells = ((pixels / 255 - mean) / deviation).view(rows, merge, size, columns, merge, size, 3)
    patches = cells.permute(0, 3, 1, 4, 6, 2, 5).unsqueeze(5)
    moving = patches.expand(*patches.shape[:5], frames, size, size)  # as a video that stands still
    return PixelPatches(moving.reshape(rows * columns * merge**2, -1), rows, columns, merge)


def see(module: nn.Module, picture: PixelPatches) -> PictureStates:
    """Run a vision encoder over a picture that is on its device and in its precision."""
    grid = torch.tensor([[1, picture.rows * picture.merge, picture.columns * picture.merge]])
    seen = cast("_Vision", module)(picture.pixels, grid.to(picture.pixels.device))
    deep = cast("Sequence[Tensor]", getattr(seen, "deepstack_features", None) or ())
    return PictureStates(seen.pooler_output, tuple(deep))


def _builder(record: VisionModel) -> Build:
    model, config = resolve_name(record.model), resolve_name(record.config)

    def build(settings: dict[str, Any]) -> nn.Module:
        made = config(**settings)
        network = cast("nn.Module", model(made))
        keep_frequencies(cast("nn.Module", network.rotary_pos_emb), made)
        return network

    return build


def network_of(record: VisionModel) -> NetworkClass:
    """Return the class of network of a record."""
    return NetworkClass(
        record.kind,
        record.title,
        partial(_builder, record),
        pictures=PictureClass(partial(prepare, record), see),
        half_dtype=torch.bfloat16,  # as the language model that reads what it sees
        without_bfloat16=torch.float32,
        keeps_quantized=True,
    )


NETWORKS = tuple(network_of(record) for record in VISION_MODELS)
"""The classes of all records."""
