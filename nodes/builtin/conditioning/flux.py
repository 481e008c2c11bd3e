"""Nodes for FLUX.1's guidance, and the reference images of FLUX.1 Kontext and FLUX.2."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple, cast, get_args

import torch
from pydantic import Field
from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Autogrow, Choices, DynamicCombo, Name, Optional, Step
from nodegraph.definition.node import node
from nodes.imaging.resize import resize_images
from nodes.inference.vae import crop_to_vae, encode_images
from nodes.models.networks.base.prefix_cache import PrefixCaching, PrefixPolicy
from nodes.models.networks.base.reference_latents import METHOD, Method
from nodes.values import REFERENCES, Cond, Conditioning, Image, Latent, ModelHandle, VaeHandle

_NARROW = (
    *((672, 1568), (688, 1504), (720, 1456), (752, 1392)),
    *((800, 1328), (832, 1248), (880, 1184), (944, 1104)),
)
_CHANNELS, _PIXELS = 16, 8
"""Of an empty latent: its channels, and the pixels of one of its own, along each side."""
_TRAINED = (*_NARROW, (1024, 1024), *((height, width) for width, height in reversed(_NARROW)))
"""The sizes that FLUX.1 Kontext was trained with: width and height."""


@node("FluxGuidance", category="advanced/conditioning/flux")
def flux_guidance(
    conditioning: Conditioning,
    guidance: Annotated[float, Field(ge=0.0, le=100.0), Step(0.1)] = 3.5,
) -> Conditioning:
    """Set FLUX.1 dev's guidance: how closely it follows the prompt; 3.5 without this node.

    The guidance is an input of the network, so no negative prompt is needed and cfg stays 1.
    """
    return _set_extra(conditioning, "guidance", guidance)


@node("FluxDisableGuidance", category="advanced/conditioning/flux")
def flux_disable_guidance(conditioning: Conditioning) -> Conditioning:
    """Give the model no guidance value at all."""
    return _set_extra(conditioning, "guidance", None)


@node("ReferenceLatent", category="advanced/conditioning/edit_models")
def reference_latent(conditioning: Conditioning, latent: Latent | None = None) -> Conditioning:
    """Add a reference image for an edit model such as FLUX.1 Kontext or FLUX.2.

    Chain several to give several images. Other models ignore it.
    """
    if latent is None:
        return conditioning
    return Conditioning(
        tuple(
            replace(cond, extras={**cond.extras, REFERENCES: (*_latents(cond), latent.samples)})
            for cond in conditioning.conds
        )
    )


@node("FluxKVCache", category="advanced/model", experimental=True)
def flux_kv_cache(model: ModelHandle) -> ModelHandle:
    """Read reference images once a run, not at every step, as FLUX.2 klein 9B-KV was trained to.

    Their keys and values are kept in spare memory of the device, else of the host; what fits in
    neither is computed at every step, with the same result. Other models of FLUX.2 were not trained
    for it: their pictures change.
    """
    caching = PrefixCaching(PrefixPolicy(), "FluxKVCache", "FLUX.2")
    return model.without_alterations(PrefixCaching).with_alteration(caching)


@dataclass(frozen=True, slots=True)
class KeepResolution:
    """Images are encoded as large as they are."""


@dataclass(frozen=True, slots=True)
class Resize:
    """Images are scaled to a number of pixels, in units of 1024 * 1024."""

    megapixels: Annotated[float, Field(ge=0.01, le=16.0), Step(0.01)] = 1.0


class Referring(NamedTuple):
    """Two conditionings with reference images, and an empty latent as large as the first."""

    positive: Conditioning
    negative: Conditioning
    empty_latent: Annotated[Latent, Name("empty_latent")]


@node(
    "ReferenceMultiLatent",
    category="advanced/conditioning/edit_models",
    display_name="Set Reference Multi Latent",
)
def reference_multi_latent(
    positive: Conditioning,
    negative: Conditioning | None = None,
    vae: VaeHandle | None = None,
    resolution: Annotated[
        KeepResolution | Resize,
        DynamicCombo({"keep resolution": KeepResolution, "resize": Resize}),
    ] = KeepResolution(),
    *,
    images: Annotated[dict[str, Image], Autogrow("image", least=1, most=100), Optional()],
    ctx: Context,
) -> Referring:
    """Add reference images for an edit model, each encoded by itself, in the order of the inputs.

    Without a negative prompt both outputs are the positive one. Without images or a VAE nothing is
    added, and the empty latent is a square of the `megapixels`, or of 1024 pixels a side.
    """
    sized = (_scale_to(image, resolution).movedim(-1, 1)[:, :3] for image in images.values())
    found = [encode_images(crop_to_vae(image, vae), vae, ctx) for image in sized] if vae else []
    for samples in found:
        positive = reference_latent(positive, Latent(samples))
        negative = reference_latent(negative, Latent(samples)) if negative else None
    side = round(_side(resolution) / _PIXELS)
    empty = torch.zeros_like(found[0]) if found else torch.zeros(1, _CHANNELS, side, side)
    return Referring(positive, negative or positive, Latent(empty))


@node(
    "FluxKontextMultiReferenceLatentMethod",
    category="advanced/conditioning/flux",
    experimental=True,
)
def flux_kontext_multi_reference_latent_method(
    conditioning: Conditioning,
    reference_latents_method: Annotated[str, Choices(get_args(Method))],
) -> Conditioning:
    """Choose how a model places several reference images.

    `offset`, the usual way of FLUX.1 Kontext, places them beside one another; `index`, that of
    FLUX.2 and Qwen-Image-Edit, numbers them; `uxo/uno` places them along the diagonal, for models
    trained as UNO or USO; `index_timestep_zero`, that of Qwen-Image-Edit 2511, numbers them and
    reads them as images without noise.
    """
    return _set_extra(conditioning, METHOD, reference_latents_method)


@node("FluxKontextImageScale", category="advanced/conditioning/flux")
def flux_kontext_image_scale(image: Image) -> Image:
    """Scale an image to the training size of FLUX.1 Kontext that is nearest to its aspect ratio.

    These sizes have about a million pixels. The image is cropped at two sides to fit.
    """
    shape = image.shape[2] / image.shape[1]
    width, height = min(_TRAINED, key=lambda size: abs(shape - size[0] / size[1]))
    return resize_images(image, width, height, "lanczos", "center")


def _side(resolution: KeepResolution | Resize) -> float:
    """Return the side of a square of the pixels that are asked for."""
    megapixels = resolution.megapixels if isinstance(resolution, Resize) else 1.0
    return 1024 * math.sqrt(megapixels)


def _scale_to(image: Tensor, resolution: KeepResolution | Resize) -> Tensor:
    if isinstance(resolution, KeepResolution):
        return image
    height, width = image.shape[1:3]
    scale = _side(resolution) / math.sqrt(width * height)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    return resize_images(image, wide, high, "lanczos")


def _set_extra(conditioning: Conditioning, name: str, value: object) -> Conditioning:
    """Set one of the extras of every condition."""
    conds = (replace(cond, extras={**cond.extras, name: value}) for cond in conditioning.conds)
    return Conditioning(tuple(conds))


def _latents(cond: Cond) -> Sequence[Tensor]:
    return cast("Sequence[Tensor]", cond.extras.get(REFERENCES, ()))
