"""Nodes for FLUX.1's guidance and FLUX.1 Kontext's reference images."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, cast, get_args

from pydantic import Field
from torch import Tensor

from nodegraph.definition.markers import Choices, Step
from nodegraph.definition.node import node
from nodes.imaging.resize import resize_images
from nodes.models.networks.denoisers.reference_latents import METHOD, Method
from nodes.values import REFERENCES, Cond, Conditioning, Image, Latent

_NARROW = (
    *((672, 1568), (688, 1504), (720, 1456), (752, 1392)),
    *((800, 1328), (832, 1248), (880, 1184), (944, 1104)),
)
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
    """Add a reference image for an edit model such as FLUX.1 Kontext.

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


@node(
    "FluxKontextMultiReferenceLatentMethod",
    category="advanced/conditioning/flux",
    experimental=True,
)
def flux_kontext_multi_reference_latent_method(
    conditioning: Conditioning,
    reference_latents_method: Annotated[str, Choices(get_args(Method))],
) -> Conditioning:
    """Choose how FLUX.1 Kontext places several reference images.

    `offset`, the usual way, places them beside one another; `index` numbers them; `uxo/uno`
    places them along the diagonal, for models trained as UNO or USO.
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


def _set_extra(conditioning: Conditioning, name: str, value: object) -> Conditioning:
    """Set one of the extras of every condition."""
    conds = (replace(cond, extras={**cond.extras, name: value}) for cond in conditioning.conds)
    return Conditioning(tuple(conds))


def _latents(cond: Cond) -> Sequence[Tensor]:
    return cast("Sequence[Tensor]", cond.extras.get(REFERENCES, ()))
