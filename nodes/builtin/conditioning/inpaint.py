"""Nodes for models that read an image beside the latent: inpainting, InstructPix2Pix, Canny."""

from dataclasses import replace
from typing import Annotated, NamedTuple

import torch

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Name
from nodegraph.definition.node import node
from nodes.inference.vae import crop_to_vae, encode_images, fill_masked
from nodes.models.loading.handles import VaeHandle
from nodes.sampling.conditioning.regions import resize_mask
from nodes.values import ConcatLatent, Conditioning, Image, Latent, Mask


class InpaintInputs(NamedTuple):
    """A positive and a negative conditioning, and the latent to start from."""

    positive: Conditioning
    negative: Conditioning
    latent: Annotated[Latent, Name("latent")]


@node("InpaintModelConditioning", category="conditioning/inpaint")
def inpaint_model_conditioning(
    positive: Conditioning,
    negative: Conditioning,
    vae: VaeHandle,
    pixels: Image,
    mask: Mask,
    *,
    noise_mask: bool = True,
    ctx: Context,
) -> InpaintInputs:
    """Give an inpainting model the image without its masked part, and the mask.

    The latent is that of the whole image. With `noise_mask` nothing outside the mask changes;
    without it, the model may change the rest slightly. Sides are cropped to multiples of 8.
    """
    image = pixels.movedim(-1, 1)[:, :3]
    resized = crop_to_vae(resize_mask(mask, (image.shape[-2], image.shape[-1])), vae)
    image = crop_to_vae(image, vae)
    concat = ConcatLatent(encode_images(fill_masked(image, resized.round()), vae, ctx), resized)
    latent = Latent(encode_images(image, vae, ctx), noise_mask=resized if noise_mask else None)
    return InpaintInputs(_add_concat(positive, concat), _add_concat(negative, concat), latent)


@node("InstructPixToPixConditioning", category="conditioning/instructpix2pix")
def instruct_pix_to_pix_conditioning(
    positive: Conditioning, negative: Conditioning, vae: VaeHandle, pixels: Image, ctx: Context
) -> InpaintInputs:
    """Give the image to a model that edits it by instructions, or follows its edges or depth.

    For InstructPix2Pix models, and for FLUX.1 Canny and Depth. The latent is empty and has the
    image's size; sides are cropped to multiples of 8.
    """
    samples = encode_images(crop_to_vae(pixels.movedim(-1, 1)[:, :3], vae), vae, ctx)
    concat = ConcatLatent(samples)
    latent = Latent(torch.zeros_like(samples))
    return InpaintInputs(_add_concat(positive, concat), _add_concat(negative, concat), latent)


def _add_concat(conditioning: Conditioning, concat: ConcatLatent) -> Conditioning:
    return Conditioning(tuple(replace(cond, concat=concat) for cond in conditioning.conds))
