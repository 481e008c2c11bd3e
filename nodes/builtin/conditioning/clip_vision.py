"""Nodes that encode images with a vision encoder, and condition models on them."""

from dataclasses import replace
from typing import Annotated, NamedTuple

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import ModelFile, Step
from nodegraph.definition.node import node
from nodes.builtin.inputs import Ratio
from nodes.models.adapters.errors import NoVectorError
from nodes.models.loading.checkpoint import open_checkpoint
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.models.loading.vision import VisionHandle, open_vision
from nodes.models.networks.components.vision import Crop
from nodes.values import Conditioning, Image, ImagePrompt, SeenPictures


@node(
    "CLIPVisionLoader",
    category="loaders",
    display_name="Load CLIP Vision",
    preflight="nodes.preflight.models:vision_encoder",
)
def clip_vision_loader(
    clip_name: Annotated[str, ModelFile("clip_vision")], ctx: Context
) -> VisionHandle:
    """Open a vision encoder: CLIP's (ViT-L, H or bigG) or SigLIP's.

    FLUX Redux and USO need SigLIP, IP-Adapters ViT-H or bigG, SDXL bigG.
    """
    path = ctx.files.model("clip_vision", clip_name)
    return open_vision(path, ctx.files.identity(path), ctx.models)


@node("CLIPVisionEncode", category="conditioning", display_name="CLIP Vision Encode")
def clip_vision_encode(clip_vision: VisionHandle, image: Image, crop: Crop) -> SeenPictures:
    """Encode images with a vision encoder, for nodes that condition a model on them.

    `center` crops the square in the middle, `none` squeezes the image into a square.
    """
    return clip_vision.see(image, crop)


class UnclipParts(NamedTuple):
    """The parts of an unCLIP checkpoint."""

    MODEL: ModelHandle
    CLIP: ClipHandle
    VAE: VaeHandle
    CLIP_VISION: VisionHandle


@node(
    "unCLIPCheckpointLoader",
    category="loaders",
    preflight="nodes.preflight.models:unclip_checkpoint",
)
def unclip_checkpoint_loader(
    ckpt_name: Annotated[str, ModelFile("checkpoints")], ctx: Context
) -> UnclipParts:
    """Open an unCLIP checkpoint: the model, text encoder, VAE and the vision encoder."""
    path = ctx.files.model("checkpoints", ckpt_name)
    identity = ctx.files.identity(path)
    opened = open_checkpoint(path, identity, ctx.models)
    eyes = open_vision(path, identity, ctx.models)
    model, clip, vae = ModelHandle(opened.model), ClipHandle(opened.text), VaeHandle(opened.vae)
    return UnclipParts(model, clip, vae, eyes)


@node("unCLIPConditioning", category="conditioning")
def unclip_conditioning(
    conditioning: Conditioning,
    clip_vision_output: SeenPictures,
    strength: Annotated[float, Field(ge=-10.0, le=10.0), Step(0.01)] = 1.0,
    noise_augmentation: Ratio = 0.0,
) -> Conditioning:
    """Condition the model on an image besides the prompt; several can be chained and add up.

    For unCLIP checkpoints, and for SDXL with bigG, where images replace the pooled part of the
    prompt. `noise_augmentation` adds noise to the image's embedding, so that less of the image is
    copied.
    """
    if strength == 0:
        return conditioning
    if clip_vision_output.embeds is None:
        raise NoVectorError(code="no_vector")
    shown = ImagePrompt(clip_vision_output.embeds, strength, noise_augmentation)
    conds = (
        replace(cond, image_prompts=(*cond.image_prompts, shown)) for cond in conditioning.conds
    )
    return Conditioning(tuple(conds))
