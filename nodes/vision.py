"""Nodes that look at pictures, so that a model can be told of them."""

from typing import Annotated

from nodegraph.context import Context
from nodegraph.define import node
from nodegraph.markers import ModelFile
from nodes.networks.vision_input import Crop
from nodes.values import Image, SeenPictures
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
