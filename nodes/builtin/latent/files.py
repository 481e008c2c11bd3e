"""Nodes that read and write latents, in ComfyUI's file format."""

from typing import Annotated

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from nodegraph.definition.context import Context
from nodegraph.definition.markers import InputFile
from nodegraph.definition.node import node
from nodegraph.graph.results import Ui
from nodes.imaging.errors import InputFileError
from nodes.imaging.metadata import texts
from nodes.values import Latent

_TENSOR = "latent_tensor"
_VERSION = "latent_format_version_0"
_OLD_SCALE = 0.18215  # files without the version key are in the model's space, not the VAE's


@node(
    "SaveLatent",
    category="_for_testing",
    output_node=True,
    writes_only=True,
    hidden=("prompt", "extra_pnginfo"),
    preflight="nodes.preflight.images:check_prefix",
)
def save_latent(samples: Latent, filename_prefix: str = "latents/ComfyUI", *, ctx: Context) -> Ui:
    """Write latents to the output folder, for `LoadLatent` to read: a `.latent` file.

    It is a safetensors file with the samples, [batch, channels, height/8, width/8], and the
    workflow in its metadata. Masks are not saved.
    """
    tensors = {
        _TENSOR: samples.samples.detach().cpu().contiguous(),
        _VERSION: torch.tensor([]),
    }
    data = save(tensors, metadata=texts(ctx))
    artifact = ctx.files.save("output", filename_prefix, ".latent", data)
    return Ui(artifacts={"latents": [artifact]})


@node(
    "LoadLatent",
    category="_for_testing",
    preflight="nodes.preflight.images:check_latent",
)
def load_latent(latent: Annotated[str, InputFile(suffixes=(".latent",))], ctx: Context) -> Latent:
    """Read a `.latent` file of the input folder."""
    path = ctx.files.input(latent)
    try:
        tensors = load(path.read_bytes())
    except SafetensorError as error:
        raise InputFileError(path, str(error), code="not_a_latent") from error
    if _TENSOR not in tensors:
        raise InputFileError(path, f"it holds no {_TENSOR!r}", code="not_a_latent")
    scale = 1.0 if _VERSION in tensors else 1.0 / _OLD_SCALE
    return Latent(tensors[_TENSOR].float() * scale)
