"""Nodes that join images to batches, and split batches."""

from collections.abc import Iterable
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from nodegraph.definition.markers import Autogrow, Listed
from nodegraph.definition.node import node
from nodegraph.graph.sockets import Socket
from nodes.builtin.image.errors import MixedSizesError
from nodes.builtin.inputs import BatchSize, BatchSizes
from nodes.imaging.batch import repeat_batch, with_channels
from nodes.imaging.errors import EmptyBatchError
from nodes.imaging.resize import resize_images
from nodes.values import Image


class ImageSize(NamedTuple):
    """The width, height and number of images."""

    width: int
    height: int
    batch_size: int


@node("ImageBatch", category="image", display_name="Batch Images")
def image_batch(image1: Image, image2: Image) -> Image:
    """Join two batches, `image1` first.

    `image2` is cropped to the aspect ratio of `image1` and scaled to its size. If only one of
    them has an alpha channel, the other gets an opaque one.
    """
    channels = max(image1.shape[-1], image2.shape[-1])
    first, second = with_channels(image1, channels), with_channels(image2, channels)
    return torch.cat([first, _as_large_as(first, second)])


@node("BatchImagesNode", category="image", display_name="Batch Images")
def batch_images_node(
    images: Annotated[dict[str, Image], Autogrow("image", least=1, most=50)],
) -> Image:
    """Join images or batches, up to 50 of them, in the order of the inputs.

    All are cropped to the aspect ratio of the first and scaled to its size. If only some of them
    have an alpha channel, the others get an opaque one.
    """
    channels = max(image.shape[-1] for image in images.values())
    first, *others = (with_channels(image, channels) for image in images.values())
    return torch.cat([first, *(_as_large_as(first, image) for image in others)])


@node("ImageFromBatch", category="image/batch")
def image_from_batch(
    image: Image,
    batch_index: Annotated[int, Field(ge=-4096, le=4095)] = 0,
    length: BatchSize = 1,
) -> Image:
    """Take `length` images of a batch from number `batch_index` on, fewer where it ends.

    A negative number counts from the end: -1 is the last image. A number beyond the batch means
    its last image, or its first if it is negative.
    """
    if len(image) == 0:
        raise EmptyBatchError(what="images")
    count = len(image)
    first = min(count - 1, max(0, batch_index + count if batch_index < 0 else batch_index))
    return image[first : first + length].contiguous()


@node("RepeatImageBatch", category="image/batch")
def repeat_image_batch(image: Image, amount: BatchSize = 1) -> Image:
    """Repeat the whole batch `amount` times."""
    return repeat_batch(image, amount)


@node("RebatchImages", category="image/batch", display_name="Rebatch Images", input_is_list=True)
def rebatch_images(
    images: Annotated[list[Tensor], Socket("IMAGE")], batch_size: BatchSizes
) -> Annotated[list[Tensor], Socket("IMAGE"), Listed()]:
    """Regroup images into batches of `batch_size`; the last one may be smaller.

    The nodes that follow run once for each batch.
    """
    every = torch.cat(_match_sizes(images))
    return list(torch.split(every, batch_size[0]))


@node("GetImageSize", category="image", display_name="Get Image Size", hidden=("unique_id",))
def get_image_size(image: Image) -> ImageSize:
    """Return the width and height of images, and their number."""
    return ImageSize(image.shape[2], image.shape[1], image.shape[0])


def _as_large_as(first: Tensor, image: Tensor) -> Tensor:
    height, width = first.shape[1:3]
    if image.shape[1:3] != first.shape[1:3]:
        image = resize_images(image, width, height, "bilinear", "center")
    return image.to(first)


def _match_sizes(batches: Iterable[Tensor]) -> list[Tensor]:
    filled = [batch for batch in batches if len(batch)]
    if not filled:
        raise EmptyBatchError(what="images")
    channels = max(batch.shape[-1] for batch in filled)
    sizes = dict.fromkeys(f"{batch.shape[2]}x{batch.shape[1]}" for batch in filled)
    if len(sizes) > 1:
        raise MixedSizesError(what="images", sizes=list(sizes))
    return [with_channels(batch, channels) for batch in filled]
