"""Nodes that open text encoders from their own files."""

from typing import Annotated, Literal

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Choices, ModelFile, Widget
from nodegraph.definition.node import node
from nodes.models.families.registry import loader_types
from nodes.models.loading.handles import ClipHandle
from nodes.models.loading.text_files import open_text_files

File = Annotated[str, ModelFile("text_encoders")]
Device = Annotated[Literal["default", "cpu"] | None, Widget(advanced=True)]
_SINGLE = (
    *("stable_diffusion", "stable_cascade", "sd3", "stable_audio", "mochi", "ltxv", "pixart"),
    *("cosmos", "lumina2", "wan", "hidream", "chroma", "ace", "omnigen2", "qwen_image"),
    "hunyuan_image",
)
_DUAL = ("sdxl", "sd3", "flux", "hunyuan_video", "hidream", "hunyuan_image")
"""ComfyUI's types, in its order, with those that no family here has."""


def _types(comfy: tuple[str, ...], files: int) -> Choices:
    """Return the choice of ComfyUI's types, and then of types that only families here have."""
    return Choices(tuple(dict.fromkeys((*comfy, *loader_types(files)))))


SingleType = Annotated[str, _types(_SINGLE, 1)]
DualType = Annotated[str, _types(_DUAL, 2)]


@node(
    "CLIPLoader",
    category="advanced/loaders",
    display_name="Load CLIP",
    preflight="nodes.preflight.models:text_encoder",
)
def clip_loader(
    clip_name: File,
    type: SingleType,
    device: Device = None,
    *,
    ctx: Context,
) -> ClipHandle:
    """Open a text encoder that a model reads alone.

    `stable_diffusion` recognises the family from the file: Stable Diffusion 1 (CLIP-L), 2 (CLIP-H),
    SDXL's refiner (CLIP-G), Z-Image (Qwen3 4B), Qwen-Image (Qwen2.5-VL 7B), Qwen-Image 2.1
    (Qwen3-VL 8B), FLUX.2 klein 9B (Qwen3 8B), FLUX.2 dev (Mistral Small 3), Anima (Qwen3 0.6B) or
    Lumina 2 (Gemma 2 2B). `lumina2` is Lumina 2 or Z-Image, `flux2` any FLUX.2 (klein 4B reads
    Qwen3 4B), and `qwen_image` both Qwen-Images; `sd3` takes CLIP-L, CLIP-G or T5 alone; `flux3` is
    FLUX.3 and `krea2` Krea 2 (both Qwen3-VL 4B), `longcat_image` LongCat-Image (Qwen2.5-VL 7B), and
    `chroma` Chroma (T5 alone). Models of the other types are not supported yet. Every type opens
    Qwen3.5, which writes prompts for any model.
    """
    return _open_text_encoders(ctx, type, device, clip_name)


@node(
    "DualCLIPLoader",
    category="advanced/loaders",
    preflight="nodes.preflight.models:two_text_encoders",
)
def dual_clip_loader(
    clip_name1: File,
    clip_name2: File,
    type: DualType,
    device: Device = None,
    *,
    ctx: Context,
) -> ClipHandle:
    """Open two text encoders, in any order.

    `sdxl` is CLIP-L and CLIP-G, `flux` is CLIP-L and T5, `sd3` any two of the three. Models
    of the other types are not supported yet.
    """
    return _open_text_encoders(ctx, type, device, clip_name1, clip_name2)


@node(
    "TripleCLIPLoader",
    category="advanced/loaders",
    preflight="nodes.preflight.models:three_text_encoders",
)
def triple_clip_loader(
    clip_name1: File, clip_name2: File, clip_name3: File, ctx: Context
) -> ClipHandle:
    """Open SD3's three text encoders, in any order: CLIP-L, CLIP-G and T5."""
    return _open_text_encoders(ctx, None, None, clip_name1, clip_name2, clip_name3)


def _open_text_encoders(
    ctx: Context, kind: str | None, device: str | None, *names: str
) -> ClipHandle:
    paths = [ctx.files.model("text_encoders", name) for name in names]
    files = [(path, ctx.files.identity(path)) for path in paths]
    on_cpu = device == "cpu"
    return ClipHandle(open_text_files(files, kind, ctx.models, on_cpu=on_cpu, notice=ctx.notice))
