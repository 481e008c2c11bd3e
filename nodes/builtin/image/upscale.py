"""Nodes that upscale images with a network."""

from collections.abc import Callable
from typing import Annotated

from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.definition.markers import ModelFile
from nodegraph.definition.node import node
from nodegraph.runtime.out_of_memory import is_out_of_memory
from nodes.imaging.tiling import Tiling, compute_tiled
from nodes.models.adapters.upscaler import UpscaleModel
from nodes.models.families.adapters.upscalers import upscaler_spec
from nodes.models.loading.checkpoint import open_network
from nodes.models.weights.header import read_header
from nodes.values import Image

TILE = 512
SMALLEST = 128
OVERLAP = 32


@node(
    "UpscaleModelLoader",
    category="loaders",
    display_name="Load Upscale Model",
    preflight="nodes.preflight.models:upscale_model",
)
def upscale_model_loader(
    model_name: Annotated[str, ModelFile("upscale_models")], ctx: Context
) -> UpscaleModel:
    """Open an upscale model: ESRGAN, Real-ESRGAN, or one of Real-ESRGAN's compact models.

    A `.pth` file is a pickle: it is read only with `--allow-pickle`, and no code in it is run.
    """
    path = ctx.files.model("upscale_models", model_name)
    header = read_header(path)
    return UpscaleModel(
        open_network(ctx.models, header, ctx.files.identity(path), upscaler_spec(header))
    )


@node(
    "ImageUpscaleWithModel", category="image/upscaling", display_name="Upscale Image (using Model)"
)
def image_upscale_with_model(upscale_model: UpscaleModel, image: Image, ctx: Context) -> Image:
    """Upscale images by the model's own factor; an alpha channel is dropped.

    They are computed in overlapping tiles of 512 pixels, or smaller ones if memory is short.
    """
    images = image[..., :3].movedim(-1, 1)
    made = upscale_tiled(upscale_model.enlarge, images, upscale_model.scale, ctx)
    return made.clamp(0.0, 1.0).movedim(1, -1).contiguous()


def upscale_tiled(
    compute: Callable[[Tensor], Tensor], images: Tensor, scale: int, ctx: Context
) -> Tensor:
    """Upscale tile by tile; if memory is short, start again with tiles half as large.

    Args:
        compute: from [1, 3, h, w] to [1, 3, h * scale, w * scale].
        images: [batch, 3, height, width].
        scale: the model's factor.
        ctx: gets the progress, and a notice of each new start.
    """

    def before(done: int, total: int) -> None:
        ctx.check_cancelled()
        ctx.progress(done, total)

    size = TILE
    while True:
        tiling = Tiling(size, size, OVERLAP, float(scale))
        try:
            return compute_tiled(compute, images, [tiling], before)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or size <= SMALLEST:
                raise
        size //= 2
        ctx.notice(f"out of memory: trying again with tiles of {size} by {size} pixels.")
