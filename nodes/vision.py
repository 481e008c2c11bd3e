"""Nodes that look at pictures, so that a model can be told of them."""

from dataclasses import replace
from typing import Annotated, NamedTuple

from pydantic import Field

from nodegraph.context import Context
from nodegraph.define import node
from nodegraph.markers import ModelFile, Step
from nodes.inputs import Ratio
from nodes.networks.vision_input import Crop
from nodes.picture_errors import NoVectorError
from nodes.values import Conditioning, Image, PicturePrompt, SeenPictures
from nodes.weights.checkpoint import open_checkpoint
from nodes.weights.handle import ClipHandle, ModelHandle, VaeHandle
from nodes.weights.vision import VisionHandle, open_vision


@node(
    "CLIPVisionLoader",
    category="loaders",
    display_name="Load CLIP Vision",
    preflight="nodes.preflight:vision_encoder",
)
def clip_vision_loader(
    clip_name: Annotated[str, ModelFile("clip_vision")], ctx: Context
) -> VisionHandle:
    """Open a vision encoder: CLIP's (ViT-L, H or bigG) or SigLIP's.

    Which one is needed depends on who reads what it sees: SigLIP for FLUX Redux and USO, ViT-H or
    bigG for IP-Adapters, bigG for SDXL.
    """
    path = ctx.files.model("clip_vision", clip_name)
    return open_vision(path, ctx.files.identity(path))


@node("CLIPVisionEncode", category="conditioning", display_name="CLIP Vision Encode")
def clip_vision_encode(clip_vision: VisionHandle, image: Image, crop: Crop) -> SeenPictures:
    """Look at pictures: what the encoder sees, for nodes that tell a model of it.

    `center` cuts out the square in the middle, `none` squeezes the picture into a square.
    """
    return clip_vision.see(image, crop)


class Opened(NamedTuple):
    """The parts of an unCLIP checkpoint."""

    MODEL: ModelHandle
    CLIP: ClipHandle
    VAE: VaeHandle
    CLIP_VISION: VisionHandle


@node("unCLIPCheckpointLoader", category="loaders", preflight="nodes.preflight:unclip_checkpoint")
def unclip_checkpoint_loader(
    ckpt_name: Annotated[str, ModelFile("checkpoints")], ctx: Context
) -> Opened:
    """Open an unCLIP checkpoint, which holds the vision encoder that its model reads, too."""
    path = ctx.files.model("checkpoints", ckpt_name)
    identity = ctx.files.identity(path)
    opened, eyes = open_checkpoint(path, identity), open_vision(path, identity)
    model, clip, vae = ModelHandle(opened.model), ClipHandle(opened.text), VaeHandle(opened.vae)
    return Opened(model, clip, vae, eyes)


@node("unCLIPConditioning", category="conditioning")
def unclip_conditioning(
    conditioning: Conditioning,
    clip_vision_output: SeenPictures,
    strength: Annotated[float, Field(ge=-10.0, le=10.0), Step(0.01)] = 1.0,
    noise_augmentation: Ratio = 0.0,
) -> Conditioning:
    """Show the model a picture besides the prompt; several can be chained, and add up.

    For unCLIP checkpoints, and for SDXL with what bigG sees, where pictures stand in for the part
    of the prompt that is one vector. `noise_augmentation` blurs what is seen, so that less of the
    picture is copied.
    """
    if strength == 0:
        return conditioning
    if clip_vision_output.embeds is None:
        raise NoVectorError
    shown = PicturePrompt(clip_vision_output.embeds, strength, noise_augmentation)
    conds = (replace(cond, pictures=(*cond.pictures, shown)) for cond in conditioning.conds)
    return Conditioning(tuple(conds))
