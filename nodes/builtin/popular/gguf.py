"""The loaders of ComfyUI-GGUF: our loaders, which read GGUF themselves, under its names."""

from typing import Annotated

from nodegraph.definition.context import Context
from nodegraph.definition.markers import ModelFile
from nodegraph.definition.node import node
from nodes.builtin.model.checkpoints import unet_loader
from nodes.builtin.model.text_encoders import (
    DualType,
    File,
    SingleType,
    clip_loader,
    dual_clip_loader,
    triple_clip_loader,
)
from nodes.models.loading.handles import ClipHandle, ModelHandle

_CATEGORY = "popular/GGUF"


@node(
    "UnetLoaderGGUF",
    category=_CATEGORY,
    display_name="Unet Loader (GGUF)",
    preflight="nodes.preflight.models:diffusion_model",
    gives_way=True,
)
def unet_loader_gguf(
    unet_name: Annotated[str, ModelFile("diffusion_models")], ctx: Context
) -> ModelHandle:
    """Open a diffusion model's file, GGUF or another; see `UNETLoader`."""
    return unet_loader(unet_name, "default", ctx)


@node(
    "CLIPLoaderGGUF",
    category=_CATEGORY,
    display_name="CLIPLoader (GGUF)",
    preflight="nodes.preflight.models:text_encoder",
    gives_way=True,
)
def clip_loader_gguf(clip_name: File, type: SingleType, ctx: Context) -> ClipHandle:
    """Open a text encoder's file, GGUF or another; see `CLIPLoader`."""
    return clip_loader(clip_name, type, ctx=ctx)


@node(
    "DualCLIPLoaderGGUF",
    category=_CATEGORY,
    display_name="DualCLIPLoader (GGUF)",
    preflight="nodes.preflight.models:two_text_encoders",
    gives_way=True,
)
def dual_clip_loader_gguf(
    clip_name1: File, clip_name2: File, type: DualType, ctx: Context
) -> ClipHandle:
    """Open two text encoders' files, GGUF or others; see `DualCLIPLoader`."""
    return dual_clip_loader(clip_name1, clip_name2, type, ctx=ctx)


@node(
    "TripleCLIPLoaderGGUF",
    category=_CATEGORY,
    display_name="TripleCLIPLoader (GGUF)",
    preflight="nodes.preflight.models:three_text_encoders",
    gives_way=True,
)
def triple_clip_loader_gguf(
    clip_name1: File, clip_name2: File, clip_name3: File, ctx: Context
) -> ClipHandle:
    """Open SD3's three text encoders' files, GGUF or others; see `TripleCLIPLoader`."""
    return triple_clip_loader(clip_name1, clip_name2, clip_name3, ctx)
