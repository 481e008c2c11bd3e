"""Nodes that change what goes on inside of a U-Net."""

from typing import Annotated, Literal

from pydantic import Field

from nodegraph.define import node
from nodegraph.markers import Step
from nodes.alterations.freeu import FreeU
from nodes.alterations.merged import Merged
from nodes.alterations.shrunk import Shrunk
from nodes.alterations.tiled import Tiled
from nodes.inputs import Fraction, Ratio, Strength
from nodes.weights.handle import ModelHandle

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
    """Let a U-Net's depth count for more: better shapes, at no cost. No training needed.

    `b1` and `b2` scale what comes from its two deepest levels, `s1` and `s2` the coarse part of
    what is handed across to them.
    """
    return model.altered(FreeU((b1, b2), (s1, s2)))


@node("FreeU_V2", category=_UNET)
def free_u_v2(
    model: ModelHandle,
    b1: Strength = 1.3,
    b2: Strength = 1.4,
    s1: Strength = 0.9,
    s2: Strength = 0.2,
) -> ModelHandle:
    """The same as FreeU, with the most effect where there is something in the picture."""
    return model.altered(FreeU((b1, b2), (s1, s2), by_structure=True))


@node("HyperTile", category=_UNET)
def hyper_tile(
    model: ModelHandle,
    tile_size: Annotated[int, Field(ge=1, le=2048)] = 256,
    swap_size: Annotated[int, Field(ge=1, le=128)] = 2,
    max_depth: Annotated[int, Field(ge=0, le=10)] = 0,
    scale_depth: bool = False,
) -> ModelHandle:
    """Let a U-Net attend within tiles only, which makes large pictures faster.

    Tiles are `tile_size` pixels or somewhat more; `swap_size` is how many sizes are drawn from, so
    that their edges don't show. It holds down to `max_depth` halvings of the picture, where
    `scale_depth` keeps tiles as large as they are at first. What is drawn depends on the noise
    level alone: the same seed gives the same picture.
    """
    return model.altered(Tiled(tile_size, swap_size, max_depth, scale_depth))


@node("TomePatchModel", category=_UNET)
def tome_patch_model(model: ModelHandle, ratio: Ratio = 0.3) -> ModelHandle:
    """Merge tokens that are alike before a U-Net attends to them: faster, at some loss of detail.

    `ratio` is the share that is merged, at most three quarters.
    """
    return model.altered(Merged(ratio))


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
    """Let a U-Net see the picture smaller at first, so that large ones hang together.

    It is scaled after the block `block_number` of the way down, from `start_percent` to
    `end_percent` of the denoising. `downscale_after_skip` leaves what this block hands across as
    large as it is.
    """
    return model.altered(
        Shrunk(
            block_number,
            downscale_factor,
            start_percent,
            end_percent,
            downscale_after_skip,
            downscale_method,
            upscale_method,
        )
    )
