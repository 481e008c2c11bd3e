"""The nodes of UltimateSDUpscale: an enlarged image is drawn again tile by tile."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Optional, Step
from nodegraph.definition.node import node
from nodes.builtin.image.upscale import image_upscale_with_model
from nodes.builtin.inputs import Cfg, Ratio, Seed, Steps
from nodes.builtin.latent.vae import vae_decode, vae_decode_tiled
from nodes.builtin.sampling.ksampler import SamplerName, Scheduler
from nodes.imaging.filters import gaussian_blur
from nodes.imaging.resize import resize_images
from nodes.inference.crop_conditions import Part, crop_conditions
from nodes.inference.sample import Guider, run
from nodes.inference.vae import encode_images
from nodes.models.adapters.upscaler import UpscaleModel
from nodes.models.loading.handles import ModelHandle, VaeHandle
from nodes.sampling.samplers.registry import sigmas_for
from nodes.values import Conditioning, Image, Latent, Noise

Order: TypeAlias = Literal["Linear", "Chess", "None"]
SeamFix: TypeAlias = Literal["None", "Band Pass", "Half Tile", "Half Tile + Intersections"]
Fade: TypeAlias = Literal["", "x", "y", "xy"]
"""The directions in which a new piece fades from its middle to its sides."""
TileSide = Annotated[int, Field(ge=64, le=16384), Step(8)]
Blur = Annotated[int, Field(ge=0, le=64), Step(1)]
Border = Annotated[int, Field(ge=0, le=16384), Step(8)]

_CATEGORY = "popular/UltimateSDUpscale"
_MULTIPLE = 64
"""Tiles are computed at sizes that are multiples of this many pixels."""
_MOST_PASSES = 3
"""Of the upscale model, until the image is large enough."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A rectangle that is drawn again."""

    top: int
    left: int
    height: int
    width: int
    fade: Fade = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Painter:
    """Draws pieces of an image."""

    guider: Guider
    vae: VaeHandle
    sampler: str
    sigmas: Tensor
    seed: int
    blur: int
    padding: int
    is_uniform: bool
    decodes_tiled: bool

    def paint(self, canvas: Tensor, piece: Piece, ctx: Context) -> None:
        """Draw a piece of an image, [1, height, width, 3], anew, and blend it in, in place."""
        part = self._part(canvas, piece)
        view = canvas[:, part.top : part.top + part.height, part.left : part.left + part.width]
        drawn = self._draw(view, part, ctx)
        view.lerp_(drawn.to(view), _mask(piece, part, self.blur).to(view))

    def _part(self, image: Tensor, piece: Piece) -> Part:
        """Return the rectangle that is computed: the piece and what lies around it."""
        whole_height, whole_width = image.shape[1:3]
        top, height = self._span(piece.top, piece.height, whole_height)
        left, width = self._span(piece.left, piece.width, whole_width)
        return Part(top, left, height, width, whole_height, whole_width)

    def _span(self, start: int, length: int, whole: int) -> tuple[int, int]:
        size = length + 2 * self.padding
        if self.is_uniform:
            size = math.ceil(size / _MULTIPLE) * _MULTIPLE
        size = min(size, whole)
        centred = start + length // 2 - size // 2
        return max(0, min(centred, whole - size)), size

    def _draw(self, crop: Tensor, part: Part, ctx: Context) -> Tensor:
        step = self.vae.downscale
        rest = (0, -part.width % step, 0, -part.height % step)
        pixels = functional.pad(crop.movedim(-1, 1), rest, mode="replicate")
        latent = Latent(encode_images(pixels, self.vae, ctx))
        guider = Guider(
            self.guider.model,
            crop_conditions(self.guider.positive, part),
            crop_conditions(self.guider.negative, part),
            self.guider.cfg,
        )
        noise = Noise((self.seed,))
        drawn = run(guider, self.sampler, self.sigmas, noise, latent, ctx).output
        decode = vae_decode_tiled if self.decodes_tiled else vae_decode
        return decode(drawn, self.vae, ctx)[:, : part.height, : part.width]


@node("UltimateSDUpscale", category=_CATEGORY, display_name="Ultimate SD Upscale", gives_way=True)
def ultimate_sd_upscale(
    *,
    image: Image,
    model: ModelHandle,
    positive: Conditioning,
    negative: Conditioning,
    vae: VaeHandle,
    upscale_by: Annotated[float, Field(ge=0.05, le=4.0), Step(0.05)] = 2.0,
    seed: Seed = 0,
    steps: Steps = 20,
    cfg: Cfg = 8.0,
    sampler_name: SamplerName,
    scheduler: Scheduler,
    denoise: Ratio = 0.2,
    upscale_model: UpscaleModel,
    mode_type: Order,
    tile_width: TileSide = 512,
    tile_height: TileSide = 512,
    mask_blur: Blur = 8,
    tile_padding: Border = 32,
    seam_fix_mode: SeamFix,
    seam_fix_denoise: Ratio = 1.0,
    seam_fix_width: Border = 64,
    seam_fix_mask_blur: Blur = 8,
    seam_fix_padding: Border = 16,
    force_uniform_tiles: bool = True,
    tiled_decode: bool = False,
    batch_size: Annotated[int, Field(ge=1, le=4096), Optional()] = 1,
    ctx: Context,
) -> Image:
    """Enlarge images with an upscale model, and draw them again tile by tile.

    Each tile is changed as by img2img (`denoise`), with `tile_padding` pixels around it, and
    blended in over `mask_blur` pixels. `Chess` draws every second tile first, `None` no tile. Then
    seams may be drawn again: in bands, or in tiles that lie across them. Control images, masks and
    areas are cut to each tile. Tiles are computed one at a time, whatever `batch_size` is.
    """
    del batch_size
    height, width = (round(side * upscale_by) for side in image.shape[1:3])
    enlarged = _enlarge(image[..., :3], upscale_model, (width, height), ctx)
    return ultimate_sd_upscale_no_upscale(
        upscaled_image=enlarged,
        model=model,
        positive=positive,
        negative=negative,
        vae=vae,
        seed=seed,
        steps=steps,
        cfg=cfg,
        sampler_name=sampler_name,
        scheduler=scheduler,
        denoise=denoise,
        mode_type=mode_type,
        tile_width=tile_width,
        tile_height=tile_height,
        mask_blur=mask_blur,
        tile_padding=tile_padding,
        seam_fix_mode=seam_fix_mode,
        seam_fix_denoise=seam_fix_denoise,
        seam_fix_width=seam_fix_width,
        seam_fix_mask_blur=seam_fix_mask_blur,
        seam_fix_padding=seam_fix_padding,
        force_uniform_tiles=force_uniform_tiles,
        tiled_decode=tiled_decode,
        ctx=ctx,
    )


@node(
    "UltimateSDUpscaleNoUpscale",
    category=_CATEGORY,
    display_name="Ultimate SD Upscale (No Upscale)",
    gives_way=True,
)
def ultimate_sd_upscale_no_upscale(
    *,
    upscaled_image: Image,
    model: ModelHandle,
    positive: Conditioning,
    negative: Conditioning,
    vae: VaeHandle,
    seed: Seed = 0,
    steps: Steps = 20,
    cfg: Cfg = 8.0,
    sampler_name: SamplerName,
    scheduler: Scheduler,
    denoise: Ratio = 0.2,
    mode_type: Order,
    tile_width: TileSide = 512,
    tile_height: TileSide = 512,
    mask_blur: Blur = 8,
    tile_padding: Border = 32,
    seam_fix_mode: SeamFix,
    seam_fix_denoise: Ratio = 1.0,
    seam_fix_width: Border = 64,
    seam_fix_mask_blur: Blur = 8,
    seam_fix_padding: Border = 16,
    force_uniform_tiles: bool = True,
    tiled_decode: bool = False,
    batch_size: Annotated[int, Field(ge=1, le=4096), Optional()] = 1,
    ctx: Context,
) -> Image:
    """Draw images again tile by tile, as `UltimateSDUpscale` does after enlarging them."""
    del batch_size

    def painter(denoise: float, blur: int, padding: int) -> Painter:
        return Painter(
            guider=Guider(model, positive, negative, cfg),
            vae=vae,
            sampler=sampler_name,
            sigmas=sigmas_for(model.parameterization, scheduler, sampler_name, steps, denoise),
            seed=seed,
            blur=blur,
            padding=padding,
            is_uniform=force_uniform_tiles,
            decodes_tiled=tiled_decode,
        )

    tiles = painter(denoise, mask_blur, tile_padding)
    seams = painter(seam_fix_denoise, seam_fix_mask_blur, seam_fix_padding)
    height, width = upscaled_image.shape[1:3]
    grid = Grid(width, height, tile_width, tile_height)
    plan = [(tiles, piece) for piece in grid.tiles(mode_type)]
    plan += [(seams, piece) for piece in grid.seams(seam_fix_mode, seam_fix_width)]
    canvas = upscaled_image[..., :3].clone()
    for number in range(len(canvas)):
        for each, piece in plan:
            each.paint(canvas[number : number + 1], piece, ctx)
    return canvas.clamp_(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Grid:
    """The tiles of an image; those at its right and lower border may be smaller."""

    width: int
    height: int
    tile_width: int
    tile_height: int

    def tiles(self, order: Order) -> list[Piece]:
        """Return the tiles in the order in which they are drawn."""
        if order == "None":
            return []
        tiles = [
            ((row + column) % 2, self._piece(row * self.tile_height, column * self.tile_width))
            for row in range(math.ceil(self.height / self.tile_height))
            for column in range(math.ceil(self.width / self.tile_width))
        ]
        if order == "Chess":
            tiles.sort(key=lambda item: item[0])
        return [piece for _, piece in tiles]

    def seams(self, how: SeamFix, band: int) -> list[Piece]:
        """Return the pieces that lie across the seams between tiles."""
        if how == "None":
            return []
        is_half = how.startswith("Half")
        wide, high = (self.tile_width, self.tile_height) if is_half else (band, band)
        x_seams = range(self.tile_width, self.width, self.tile_width)
        y_seams = range(self.tile_height, self.height, self.tile_height)
        rows = range(0, self.height, self.tile_height)
        columns = range(0, self.width, self.tile_width)
        found = [self._piece(y, x - wide // 2, width=wide, fade="x") for x in x_seams for y in rows]
        found += [
            self._piece(y - high // 2, x, height=high, fade="y") for y in y_seams for x in columns
        ]
        if how.endswith("Intersections"):
            found += [
                self._piece(y - high // 2, x - wide // 2, fade="xy")
                for y in y_seams
                for x in x_seams
            ]
        return found

    def _piece(
        self, top: int, left: int, *, height: int = 0, width: int = 0, fade: Fade = ""
    ) -> Piece:
        """Return a piece of a tile's size, or another, cut off at the image's borders."""
        top, bottom = max(0, top), min(self.height, top + (height or self.tile_height))
        left, right = max(0, left), min(self.width, left + (width or self.tile_width))
        return Piece(top, left, bottom - top, right - left, fade)


def _enlarge(
    image: Tensor, upscale_model: UpscaleModel, size: tuple[int, int], ctx: Context
) -> Tensor:
    """Enlarge images by the model as often as it takes, then to exactly a size."""
    passes = 0
    while image.shape[2] < size[0] and passes < _MOST_PASSES:
        image = image_upscale_with_model(upscale_model, image, ctx)
        passes += 1
    return resize_images(image, *size, "lanczos").contiguous()


def _mask(piece: Piece, part: Part, blur: int) -> Tensor:
    """Return the share of the new pixels, [height, width, 1]: 1 in the piece, less at its sides."""
    mask = torch.zeros(part.height, part.width)
    top, left = piece.top - part.top, piece.left - part.left
    rows = _ramp(piece.height) if "y" in piece.fade else torch.ones(piece.height)
    columns = _ramp(piece.width) if "x" in piece.fade else torch.ones(piece.width)
    mask[top : top + piece.height, left : left + piece.width] = rows[:, None] * columns
    if blur:
        mask = gaussian_blur(mask[None, None], 2 * blur, float(blur), mode="replicate")[0, 0]
    return mask[..., None]


def _ramp(length: int) -> Tensor:
    """Return a rise from 0 to 1 in the middle and a fall back to 0: [length]."""
    place = (torch.arange(length) + 0.5) / length
    return 1 - (2 * place - 1).abs()
