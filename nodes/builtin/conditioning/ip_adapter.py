"""Nodes that prompt a U-Net with images: IP-Adapters."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import ModelFile, Step
from nodegraph.definition.node import node
from nodes.builtin.inputs import Fraction
from nodes.models.adapters.ip_adapter import IPAdapterHandle, IPAdapterInjection, open_ip_adapter
from nodes.models.loading.handles import ModelHandle
from nodes.models.loading.vision import VisionHandle
from nodes.values import Image, Mask


@node(
    "IPAdapterLoader",
    category="loaders",
    display_name="Load IP-Adapter",
    preflight="nodes.preflight.models:ip_adapter",
)
def ip_adapter_loader(
    ipadapter_name: Annotated[str, ModelFile("ipadapter")], ctx: Context
) -> IPAdapterHandle:
    """Open an IP-Adapter for Stable Diffusion 1.5 or SDXL: a plain, plus or full-face one.

    FaceID adapters, which need a face recogniser, are not supported.
    """
    path = ctx.files.model("ipadapter", ipadapter_name)
    return open_ip_adapter(path, ctx.files.identity(path), ctx.models)


@node("IPAdapterApply", category="conditioning/ipadapter", display_name="Apply IP-Adapter")
def ip_adapter_apply(  # noqa: PLR0917 - as the node of ControlNets
    model: ModelHandle,
    ipadapter: IPAdapterHandle,
    clip_vision: VisionHandle,
    image: Image,
    weight: Annotated[float, Field(ge=-1.0, le=5.0), Step(0.01)] = 1.0,
    start_percent: Fraction = 0.0,
    end_percent: Fraction = 1.0,
    mask: Mask | None = None,
) -> ModelHandle:
    """Prompt the model with images besides the text; several can be chained and add up.

    All images of a batch are used together. They apply from `start_percent` to `end_percent` of
    the denoising (0 is pure noise, 1 the finished image), and where the mask is not 0. Most
    adapters need ViT-H as the vision encoder; the first one for SDXL needs bigG.
    """
    ipadapter.check(model.model)
    seen, blank = clip_vision.see(image), clip_vision.see_nothing()
    injection = IPAdapterInjection(
        ipadapter.keys(seen),
        ipadapter.negative_keys(seen, blank),
        weight,
        start_percent,
        end_percent,
        mask if mask is None or mask.ndim > 2 else mask[None],
    )
    return replace(model, injections=(*model.injections, injection))
