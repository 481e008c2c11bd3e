"""Nodes that save models: the patched weights, in the layout of the original files."""

from collections.abc import Iterator, Mapping

from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.definition.node import node
from nodegraph.graph.results import Artifact, Ui
from nodes.imaging.metadata import texts
from nodes.models.export.checkpoint import (
    checkpoint_tensors,
    encoder_tensors,
    file_metadata,
    vae_tensors,
)
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.models.weights.writer import chunks

_CATEGORY = "advanced/model_merging"
_HIDDEN = ("prompt", "extra_pnginfo")
_CHECK = "nodes.preflight.images:check_prefix"


@node(
    "CheckpointSave",
    category=_CATEGORY,
    display_name="Save Checkpoint",
    output_node=True,
    hidden=_HIDDEN,
    preflight=_CHECK,
)
def checkpoint_save(
    model: ModelHandle,
    clip: ClipHandle,
    vae: VaeHandle,
    filename_prefix: str = "checkpoints/ComfyUI",
    *,
    ctx: Context,
) -> Ui:
    """Write a model, its text encoders and its VAE into one file of the output folder.

    LoRAs and merges are applied to the saved weights; all other weights are saved bit for bit.
    The workflow is in the file's metadata. Files below `checkpoints/` can be loaded at once.
    """
    tensors = checkpoint_tensors(model, clip, vae)
    return Ui(artifacts=_save(ctx, filename_prefix, tensors, file_metadata(model, clip, vae)))


@node("ModelSave", category=_CATEGORY, output_node=True, hidden=_HIDDEN, preflight=_CHECK)
def model_save(
    model: ModelHandle, filename_prefix: str = "diffusion_models/ComfyUI", *, ctx: Context
) -> Ui:
    """Write the diffusion model into a file of the output folder; see `CheckpointSave`."""
    return Ui(
        artifacts=_save(ctx, filename_prefix, checkpoint_tensors(model), file_metadata(model))
    )


@node("CLIPSave", category=_CATEGORY, output_node=True, hidden=_HIDDEN, preflight=_CHECK)
def clip_save(clip: ClipHandle, filename_prefix: str = "clip/ComfyUI", *, ctx: Context) -> Ui:
    """Write each text encoder into a file of the output folder; see `CheckpointSave`.

    The files are called `<prefix>_clip_l`, `<prefix>_t5xxl` and so on.
    """
    written: list[Artifact] = []
    for name, tensors in encoder_tensors(clip):
        found = _save(ctx, f"{filename_prefix}_{name}", tensors, file_metadata(clip=clip))
        written += found["models"]
    return Ui(artifacts={"models": written})


@node("VAESave", category=_CATEGORY, output_node=True, hidden=_HIDDEN, preflight=_CHECK)
def vae_save(vae: VaeHandle, filename_prefix: str = "vae/ComfyUI_vae", *, ctx: Context) -> Ui:
    """Write a VAE into a file of the output folder; see `CheckpointSave`."""
    return Ui(artifacts=_save(ctx, filename_prefix, vae_tensors(vae), file_metadata(vae=vae)))


def _save(
    ctx: Context, prefix: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> dict[str, list[Artifact]]:
    data = _with_progress(ctx, chunks(tensors, {**metadata, **texts(ctx)}), len(tensors) + 1)
    return {"models": [ctx.files.save("output", prefix, ".safetensors", data)]}


def _with_progress(ctx: Context, data: Iterator[memoryview], total: int) -> Iterator[memoryview]:
    """Yield the chunks and report the progress."""
    for number, chunk in enumerate(data, 1):
        ctx.check_cancelled()
        yield chunk
        ctx.progress(number, total)
