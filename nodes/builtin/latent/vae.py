"""Nodes that encode images to latents and decode latents."""

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Step
from nodegraph.definition.node import node
from nodes.imaging.tiling import compute_tiled, tilings
from nodes.inference.vae import (
    crop_to_vae,
    decode,
    decode_images,
    encode,
    encode_images,
    fill_masked,
)
from nodes.models.loading.handles import VaeHandle
from nodes.models.networks.base.errors import ChannelMismatchError
from nodes.sampling.conditioning.latents import split_layers
from nodes.sampling.conditioning.regions import resize_mask
from nodes.values import Image, Latent, Mask

DecodeTile = Annotated[int, Field(ge=64, le=4096), Step(32)]
EncodeTile = Annotated[int, Field(ge=64, le=4096), Step(64)]
Overlap = Annotated[int, Field(ge=0, le=4096), Step(32)]
Frames = Annotated[int, Field(ge=8, le=4096), Step(4)]
FrameOverlap = Annotated[int, Field(ge=4, le=4096), Step(4)]


@node("VAEDecode", category="latent", display_name="VAE Decode")
def vae_decode(samples: Latent, vae: VaeHandle, ctx: Context) -> Image:
    """Decode latents to images, one at a time; in tiles if memory is short.

    The layers of a latent become images of the batch.
    """
    return _to_image(decode_images(_check_channels(samples, vae), vae, ctx))


@node("VAEDecodeTiled", category="_for_testing", display_name="VAE Decode (Tiled)")
def vae_decode_tiled(
    samples: Latent,
    vae: VaeHandle,
    ctx: Context,
    *,
    tile_size: DecodeTile = 512,
    overlap: Overlap = 64,
    temporal_size: Frames = 64,
    temporal_overlap: FrameOverlap = 8,
) -> Image:
    """Decode latents to images tile by tile, which takes less memory.

    The layers of a latent become images of the batch. The temporal settings are for video models.
    """
    del temporal_size, temporal_overlap
    shared = overlap if tile_size >= overlap * 4 else tile_size // 4
    size = tile_size // vae.downscale
    plan = tilings(size, shared // vae.downscale, float(vae.downscale))
    call = partial(decode, vae, ctx=ctx)
    return _to_image(compute_tiled(call, _check_channels(samples, vae), plan, _watch(ctx)))


@node("VAEEncode", category="latent", display_name="VAE Encode")
def vae_encode(pixels: Image, vae: VaeHandle, ctx: Context) -> Latent:
    """Encode images to latents; the sides are cropped to multiples of 8, or of the VAE's own step.

    An alpha channel is read by the VAEs that have one (Qwen-Image 2.1's); for these, images without
    it are opaque.
    """
    return Latent(encode_images(crop_to_vae(pixels.movedim(-1, 1), vae), vae, ctx))


@node("VAEEncodeTiled", category="_for_testing", display_name="VAE Encode (Tiled)")
def vae_encode_tiled(
    pixels: Image,
    vae: VaeHandle,
    ctx: Context,
    *,
    tile_size: EncodeTile = 512,
    overlap: Overlap = 64,
    temporal_size: Frames = 64,
    temporal_overlap: FrameOverlap = 8,
) -> Latent:
    """Encode images to latents tile by tile, which takes less memory.

    The temporal settings are for video models.
    """
    del temporal_size, temporal_overlap
    step = vae.downscale
    size = tile_size // (2 * step) * 2 * step
    shared = overlap if overlap < size // 2 else size // 4
    plan = tilings(size, shared // step * step, 1 / step)
    images = crop_to_vae(pixels.movedim(-1, 1), vae)
    return Latent(compute_tiled(partial(encode, vae, ctx=ctx), images, plan, _watch(ctx)))


@node("VAEEncodeForInpaint", category="latent/inpaint", display_name="VAE Encode (for Inpainting)")
def vae_encode_for_inpaint(
    pixels: Image,
    vae: VaeHandle,
    mask: Mask,
    ctx: Context,
    grow_mask_by: Annotated[int, Field(ge=0, le=64), Step(1)] = 6,
) -> Latent:
    """Encode images to latents with the masked part grey, for inpainting from scratch.

    The mask grows by `grow_mask_by` pixels, so that the new part blends into the rest.
    """
    image = pixels.movedim(-1, 1)
    resized = crop_to_vae(resize_mask(mask, (image.shape[-2], image.shape[-1])), vae).round()
    samples = encode_images(fill_masked(crop_to_vae(image, vae)[:, :3], resized), vae, ctx)
    return Latent(samples, noise_mask=_grow(resized, grow_mask_by))


def _check_channels(samples: Latent, vae: VaeHandle) -> Tensor:
    channels = samples.samples.shape[1]
    if channels != vae.channels:
        raise ChannelMismatchError(
            code="wrong_latent",
            what="the latent",
            found=channels,
            expected=vae.channels,
            reader="this VAE",
            hint="Use the VAE of the model that made the latent.",
        )
    return split_layers(samples.samples)


def _to_image(images: Tensor) -> Tensor:
    """Return [batch, 3 or 4, height, width] as an IMAGE."""
    return images.clamp(0.0, 1.0).movedim(1, -1).contiguous()


def _grow(mask: Tensor, pixels: int) -> Tensor:
    """Grow a mask, [batch, 1, height, width]: each 1 becomes a square of `pixels` pixels."""
    if pixels == 0:
        return mask
    grown = functional.max_pool2d(mask, pixels, stride=1, padding=math.ceil((pixels - 1) / 2))
    return grown[..., : mask.shape[-2], : mask.shape[-1]]


def _watch(ctx: Context) -> Callable[[int, int], None]:
    """Return a callback for every tile: it stops a cancelled run and reports the progress."""

    def before(done: int, total: int) -> None:
        ctx.check_cancelled()
        ctx.progress(done, total)

    return before
