"""VAE calls on batches, with fallbacks: float32 where numbers overflow, tiles for large images."""

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.runtime.out_of_memory import is_out_of_memory
from nodes.imaging.errors import SizeLimitError
from nodes.imaging.tiling import split_batch
from nodes.inference.vae_tiles import Method, VaeCall, choose_tile
from nodes.models.loading.checkpoint import unload_others
from nodes.models.loading.handles import VaeHandle
from nodes.sampling.guidance.errors import NotFiniteError

_TILES = (512, 256, 128)
"""Sizes of tiles in pixels, tried one after the other if there is less memory than was known."""


def decode(vae: VaeHandle, latent: Tensor, ctx: Context) -> Tensor:
    """Decode one latent; see `VaeHandle.decode`.

    Raises:
        NotFiniteError: the latent or the decoded image has values that are not finite.
    """
    return _retry_in_float32(VaeHandle.decode, vae, latent, "the latent", ctx)


def encode(vae: VaeHandle, image: Tensor, ctx: Context) -> Tensor:
    """Encode one image; see `VaeHandle.encode`. Raises as `decode`."""
    return _retry_in_float32(VaeHandle.encode, vae, image, "the image", ctx)


def decode_images(latents: Tensor, vae: VaeHandle, ctx: Context) -> Tensor:
    """Decode latents, [batch, channels, h, w], one at a time; see `VaeHandle.decode`.

    If memory is short it is done in tiles, which changes pixels slightly.

    Raises:
        NotFiniteError: a latent or a decoded image has values that are not finite.
    """
    return _compute_each("decode", latents, vae, "the latent", ctx)


def encode_images(images: Tensor, vae: VaeHandle, ctx: Context) -> Tensor:
    """Encode [batch, 3 or 4, height, width] in [0, 1] to latents, one at a time; unscaled.

    In tiles if memory is short. Raises as `decode_images`.
    """
    return _compute_each("encode", images, vae, "the image", ctx)


def _compute_each(method: Method, batch: Tensor, vae: VaeHandle, what: str, ctx: Context) -> Tensor:
    call = VaeCall(vae, method)

    @cache
    def size(_dtype: torch.dtype) -> int | None:
        return choose_tile(call, batch, ctx)

    def compute(vae: VaeHandle, x: Tensor) -> Tensor:
        return _retry_in_tiles(call, x, size(vae.dtype), ctx)

    made: list[Tensor] = []
    for x in split_batch(batch):
        ctx.check_cancelled()
        made.append(_retry_in_float32(compute, vae, x, what, ctx))
    return torch.cat(made)


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


def _retry_in_tiles(call: VaeCall, x: Tensor, size: int | None, ctx: Context) -> Tensor:
    """Compute x in tiles of a size, then with other models unloaded, then in smaller tiles."""
    largest = max(call.pixels(x)) if size is None else size
    tries = [size, *(each for each in _TILES if each < largest)]
    result = _attempt(lambda: call.in_tiles(x, size))
    for number, each in enumerate(tries):
        if result is not None:
            return result
        unload_others(ctx.models, call.vae.vae.network)
        words = f"in tiles of {each} by {each} pixels" if number else "without the other models"
        ctx.notice(f"out of memory: trying again {words}.")
        again = partial(call.in_tiles, x, each)
        result = again() if number == len(tries) - 1 else _attempt(again)
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
