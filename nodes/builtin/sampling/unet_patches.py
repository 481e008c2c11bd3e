"""Nodes that change the inside of a U-Net: FreeU, HyperTile, token merging, deep shrink."""

from typing import Annotated, Literal

from pydantic import Field

from nodegraph.definition.markers import Step
from nodegraph.definition.node import node
from nodes.builtin.inputs import Fraction, Ratio, Strength
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.modifiers.deep_shrink import DeepShrink
from nodes.models.networks.modifiers.freeu import FreeU
from nodes.models.networks.modifiers.hypertile import HyperTile
from nodes.models.networks.modifiers.token_merging import TokenMerging

Method = Literal["bicubic", "nearest-exact", "bilinear", "area", "bislerp"]

_UNET = "model_patches/unet"


@node("FreeU", category=_UNET)
def free_u(
    model: ModelHandle,
    b1: Strength = 1.1,
    b2: Strength = 1.2,
    s1: Strength = 0.9,
    s2: Strength = 0.2,
) -> ModelHandle:
    """Strengthen a U-Net's deep features (FreeU): better shapes at no cost in time.

    `b1` and `b2` scale the output of its two deepest levels, `s1` and `s2` the low frequencies of
    the skip connections to them.
    """
    return model.with_alteration(FreeU((b1, b2), (s1, s2)))


@node("FreeU_V2", category=_UNET)
def free_u_v2(
    model: ModelHandle,
    b1: Strength = 1.3,
    b2: Strength = 1.4,
    s1: Strength = 0.9,
    s2: Strength = 0.2,
) -> ModelHandle:
    """Strengthen a U-Net's deep features where the image has content; see FreeU."""
    return model.with_alteration(FreeU((b1, b2), (s1, s2), by_structure=True))


@node("HyperTile", category=_UNET)
def hyper_tile(
    model: ModelHandle,
    tile_size: Annotated[int, Field(ge=1, le=2048)] = 256,
    swap_size: Annotated[int, Field(ge=1, le=128)] = 2,
    max_depth: Annotated[int, Field(ge=0, le=10)] = 0,
    scale_depth: bool = False,
) -> ModelHandle:
    """Limit a U-Net's attention to tiles, which makes large images faster (HyperTile).

    Tiles are `tile_size` pixels or somewhat more. At each step one of up to `swap_size` tile sizes
    is drawn, so that the edges don't show; the draw depends on the noise level alone, and the same
    seed gives the same image. Tiles are used in the levels down to `max_depth` halvings of the
    image, and with `scale_depth` they keep their size in pixels there.
    """
    return model.with_alteration(HyperTile(tile_size, swap_size, max_depth, scale_depth))


@node("TomePatchModel", category=_UNET)
def tome_patch_model(model: ModelHandle, ratio: Ratio = 0.3) -> ModelHandle:
    """Merge similar tokens before a U-Net's attention (ToMe): faster, with some loss of detail.

    `ratio` is the share of tokens that are merged, at most three quarters.
    """
    return model.with_alteration(TokenMerging(ratio))


@node(
    "PatchModelAddDownscale",
    category=_UNET,
    display_name="PatchModelAddDownscale (Kohya Deep Shrink)",
)
def patch_model_add_downscale(
    *,
    model: ModelHandle,
    block_number: Annotated[int, Field(ge=1, le=32), Step(1)] = 3,
    downscale_factor: Annotated[float, Field(ge=0.1, le=9.0), Step(0.001)] = 2.0,
    start_percent: Fraction = 0.0,
    end_percent: Fraction = 0.35,
    downscale_after_skip: bool = True,
    downscale_method: Method,
    upscale_method: Method,
) -> ModelHandle:
    """Shrink a U-Net's features in the first steps (deep shrink), for coherent large images.

    They are scaled after the input block `block_number`, from `start_percent` to `end_percent` of
    the denoising. `downscale_after_skip` leaves this block's skip connection at full size.
    """
    return model.with_alteration(
        DeepShrink(
            block_number,
            downscale_factor,
            start_percent,
            end_percent,
            downscale_after_skip,
            downscale_method,
            upscale_method,
        )
    )
