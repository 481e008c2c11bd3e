"""Nodes that make, resize and rearrange latents."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from nodegraph.definition.markers import Optional, Step
from nodegraph.definition.node import node
from nodes.builtin.inputs import BatchSize, LatentSide
from nodes.imaging.batch import repeat_batch, repeat_to_batch
from nodes.imaging.resize import Crop, LatentMethod, resize
from nodes.sampling.conditioning.latents import empty_latent
from nodes.values import Latent, Mask

WidePixels = Annotated[int, Field(ge=16, le=16384), Step(16)]
SizeOrAuto = Annotated[int, Field(ge=0, le=16384), Step(8)]

_SMALLEST = 64  # pixels; the smallest side that LatentUpscale makes


@node("EmptyLatentImage", category="latent", display_name="Empty Latent Image")
def empty_latent_image(
    width: LatentSide = 512,
    height: LatentSide = 512,
    batch_size: BatchSize = 1,
) -> Latent:
    """Make an empty latent for text-to-image: zeros, [batch_size, 4, height/8, width/8].

    Sizes are rounded down to multiples of 8. A model with other channels, or with latents of a
    sixteenth (Qwen-Image 2.1, FLUX.2), has them when it samples.
    """
    return empty_latent(batch_size, 4, height, width)


@node("EmptySD3LatentImage", category="latent/sd3")
def empty_sd3_latent_image(
    width: WidePixels = 1024,
    height: WidePixels = 1024,
    batch_size: BatchSize = 1,
) -> Latent:
    """Make an empty latent of 16 channels (SD3, FLUX): [batch_size, 16, height/8, width/8].

    Sizes are rounded down to multiples of 8.
    """
    return empty_latent(batch_size, 16, height, width)


@node("EmptyFlux2LatentImage", category="latent", display_name="Empty Flux 2 Latent")
def empty_flux2_latent_image(
    width: WidePixels = 1024,
    height: WidePixels = 1024,
    batch_size: Annotated[BatchSize, Optional()] = 1,
) -> Latent:
    """Make an empty latent of 128 channels (FLUX.2): [batch_size, 128, height/16, width/16].

    Sizes are rounded down to multiples of 16.
    """
    return empty_latent(batch_size, 128, height, width, downscale=16)


@node(
    "EmptyQwenImageLayeredLatentImage",
    category="latent/qwen",
    display_name="Empty Qwen Image Layered Latent",
)
def empty_qwen_image_layered_latent_image(
    width: WidePixels = 640,
    height: WidePixels = 640,
    layers: Annotated[int, Field(ge=0, le=16384), Step(1)] = 3,
    batch_size: BatchSize = 1,
) -> Latent:
    """Make an empty latent of layers: [batch_size, 16, layers + 1, height/8, width/8].

    Qwen-Image-Layered makes the whole picture as the first, and the layers from the back to the
    front. `LatentCutToBatch` with `t` cuts them into a batch. Sizes are rounded down to multiples
    of 8.
    """
    return empty_latent(batch_size, 16, height, width, layers=layers + 1)


@node("LatentUpscale", category="latent", display_name="Upscale Latent")
def latent_upscale(
    *,
    samples: Latent,
    upscale_method: LatentMethod,
    width: SizeOrAuto = 512,
    height: SizeOrAuto = 512,
    crop: Crop,
) -> Latent:
    """Resize latents to a size given in pixels of the decoded image.

    A width or height of 0 is computed from the other and the aspect ratio; if both are 0, nothing
    changes. Neither goes below 64. `crop: center` first crops to the new aspect ratio.
    """
    if width == 0 and height == 0:
        return samples
    old_height, old_width = samples.samples.shape[-2:]
    wide = width or round(old_width * max(_SMALLEST, height) / old_height)
    high = height or round(old_height * max(_SMALLEST, width) / old_width)
    columns, rows = max(_SMALLEST, wide) // 8, max(_SMALLEST, high) // 8
    return _resize_each(samples, columns, rows, upscale_method, crop)


@node("LatentUpscaleBy", category="latent", display_name="Upscale Latent By")
def latent_upscale_by(
    samples: Latent,
    upscale_method: LatentMethod,
    scale_by: Annotated[float, Field(ge=0.01, le=8.0), Step(0.01)] = 1.5,
) -> Latent:
    """Resize latents by a factor; each side is rounded to whole latent pixels, at least one."""
    height, width = (max(1, round(side * scale_by)) for side in samples.samples.shape[-2:])
    return _resize_each(samples, width, height, upscale_method)


def _resize_each(
    latent: Latent, width: int, height: int, method: LatentMethod, crop: Crop = "disabled"
) -> Latent:
    """Return a latent of another size."""
    return replace(latent, samples=resize(latent.samples, width, height, method, crop))


@node("RepeatLatentBatch", category="latent/batch", display_name="Repeat Latent Batch")
def repeat_latent_batch(samples: Latent, amount: Annotated[int, Field(ge=1, le=64)] = 1) -> Latent:
    """Repeat the whole batch `amount` times: [batch * amount, channels, h, w].

    Each repetition gets other noise from the seed, so that the images differ.
    """
    count = samples.samples.shape[0]
    mask, index = samples.noise_mask, samples.batch_index
    if mask is not None and mask.shape[0] > 1:
        mask = repeat_batch(repeat_to_batch(mask, count), amount)
    if index is not None:
        span = max(index) - min(index) + 1
        index = tuple(draw + turn * span for turn in range(amount) for draw in index)
    samples = replace(samples, samples=repeat_batch(samples.samples, amount))
    return replace(samples, noise_mask=mask, batch_index=index)


@node("LatentFromBatch", category="latent/batch", display_name="Latent From Batch")
def latent_from_batch(
    samples: Latent,
    batch_index: Annotated[int, Field(ge=0, le=63)] = 0,
    length: Annotated[int, Field(ge=1, le=64)] = 1,
) -> Latent:
    """Take `length` latents of a batch from number `batch_index` on, fewer where it ends.

    They keep their place in the seed's noise: sampling one alone gives the same image as sampling
    the whole batch.
    """
    count = samples.samples.shape[0]
    first = min(count - 1, batch_index)
    last = min(count, first + length)
    mask, index = samples.noise_mask, samples.batch_index
    if mask is not None and mask.shape[0] > 1:
        mask = repeat_to_batch(mask, count)[first:last]
    index = tuple(range(first, last)) if index is None else index[first:last]
    chosen = samples.samples[first:last]
    return replace(samples, samples=chosen, noise_mask=mask, batch_index=index)


@node("SetLatentNoiseMask", category="latent/inpaint", display_name="Set Latent Noise Mask")
def set_latent_noise_mask(samples: Latent, mask: Mask) -> Latent:
    """Set the mask of a latent: only where it is 1 is sampled, the rest is kept. Any size fits."""
    return replace(samples, noise_mask=mask.reshape(-1, 1, *mask.shape[-2:]))
