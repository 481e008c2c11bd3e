"""VAE calls on batches, with fallbacks: float32 where numbers overflow, tiles for large images."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.runtime.out_of_memory import is_out_of_memory
from nodes.imaging.errors import SizeLimitError
from nodes.imaging.tiling import compute_tiled, split_batch, tilings
from nodes.models.loading.checkpoint import unload_others
from nodes.models.loading.handles import VaeHandle
from nodes.sampling.guidance.errors import NotFiniteError

_TILES = (512, 256, 128)
"""Sizes of tiles in pixels, tried one after the other; neighbours overlap by an eighth."""


def decode(vae: VaeHandle, latent: Tensor, ctx: Context) -> Tensor:
    """Decode one latent; see `VaeHandle.decode`.

    Raises:
        NotFiniteError: the latent or the decoded image has values that are not finite.
    """
    return _retry_in_float32(VaeHandle.decode, vae, latent, "the latent", ctx)


def encode(vae: VaeHandle, image: Tensor, ctx: Context) -> Tensor:
    """Encode one image; see `VaeHandle.encode`. Raises as `decode`."""
    return _retry_in_float32(VaeHandle.encode, vae, image, "the image", ctx)


def decode_with_fallback(vae: VaeHandle, latent: Tensor, ctx: Context) -> Tensor:
    """Decode one latent; in tiles if memory is short, which changes its pixels slightly."""
    return _retry_in_tiles(partial(decode, vae, ctx=ctx), vae, latent, float(vae.downscale), ctx)


def encode_with_fallback(vae: VaeHandle, image: Tensor, ctx: Context) -> Tensor:
    """Encode one image; in tiles if memory is short."""
    return _retry_in_tiles(partial(encode, vae, ctx=ctx), vae, image, 1 / vae.downscale, ctx)


def _retry_in_float32(
    call: Callable[[VaeHandle, Tensor], Tensor],
    vae: VaeHandle,
    x: Tensor,
    what: str,
    ctx: Context,
) -> Tensor:
    result = call(vae, x)
    if result.isfinite().all():
        return result
    if not x.isfinite().all():
        raise NotFiniteError(what)
    if vae.dtype == torch.float32:
        raise NotFiniteError("what the VAE makes of " + what)
    ctx.notice(f"numbers of the VAE were too large for {vae.precision}: computed in float32.")
    vae.note_overflow()
    return _retry_in_float32(call, vae, x, what, ctx)


def _retry_in_tiles(
    call: Callable[[Tensor], Tensor], vae: VaeHandle, x: Tensor, scale: float, ctx: Context
) -> Tensor:
    """Compute x at once, then with other models unloaded, then in ever smaller tiles."""
    unit = 1 if scale < 1 else vae.downscale  # image pixels per pixel of x
    tries: list[tuple[str, Callable[[], Tensor]]] = [
        ("without the other models", lambda: call(x)),
        *(
            (
                f"in tiles of {size} by {size} pixels",
                partial(compute_tiled, call, x, tilings(size // unit, size // unit // 8, scale)),
            )
            for size in _TILES
        ),
    ]
    result = _attempt(lambda: call(x))
    for words, again in tries:
        if result is not None:
            return result
        unload_others(ctx.models, vae.vae.network)
        ctx.notice(f"out of memory: trying again {words}.")
        last = words == tries[-1][0]
        result = again() if last else _attempt(again)
    assert result is not None
    return result


def _attempt(compute: Callable[[], Tensor]) -> Tensor | None:
    """Return the result, or None if there was not enough memory."""
    try:
        return compute()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None


def crop_to_vae(image: Tensor, vae: VaeHandle) -> Tensor:
    """Crop the centre of [batch, channels, height, width] to a multiple of the VAE's downscale.

    Raises:
        SizeLimitError: it is smaller than one latent pixel.
    """
    height, width = image.shape[-2:]
    step = vae.downscale
    if min(height, width) < step:
        raise SizeLimitError(
            code="too_small_picture",
            problem=f"an image of {width}x{height} pixels is too small to encode",
            hint=f"It needs at least {step} pixels each way.",
        )
    top, left = height % step // 2, width % step // 2
    return image[..., top : top + height // step * step, left : left + width // step * step]


def fill_masked(image: Tensor, mask: Tensor) -> Tensor:
    """Make an image grey where the mask is 1; [batch, 3, height, width] and [batch or 1, 1, …]."""
    return (image - 0.5) * (1 - mask.to(image.device)) + 0.5


def encode_images(images: Tensor, vae: VaeHandle, ctx: Context) -> Tensor:
    """Encode [batch, 3, height, width] in [0, 1] to latents, one at a time; unscaled."""
    latents: list[Tensor] = []
    for image in split_batch(images):
        ctx.check_cancelled()
        latents.append(encode_with_fallback(vae, image, ctx))
    return torch.cat(latents)
