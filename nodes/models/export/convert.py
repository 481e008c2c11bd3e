"""Whole models as one file of the original layout, whatever layout they come in."""

from pathlib import Path

from nodegraph.files.atomic import part_in
from nodes.models.export.checkpoint import checkpoint_tensors, file_metadata
from nodes.models.loading.checkpoint import open_checkpoint
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.models.weights.writer import chunks


def convert(path: Path, target: Path) -> None:
    """Write a model in the original layout, with all that it has of text encoders and VAE.

    Weights keep their precision and every bit; GGUF's become float16.

    Args:
        path: a file, one of several shards, or a diffusers folder.
        target: the new file, which is there whole or not at all.

    Raises:
        NodeGraphError: the model is of no known family, damaged or incomplete.
        OSError: the file can not be written.
    """
    opened = open_checkpoint(path, str(path))
    model = ModelHandle(opened.model)
    clip = ClipHandle(opened.text) if opened.text.found else None
    vae = VaeHandle(opened.vae) if opened.vae.found else None
    data = chunks(checkpoint_tensors(model, clip, vae), file_metadata(model, clip, vae))
    target.parent.mkdir(parents=True, exist_ok=True)
    with part_in(target.parent, data) as part:
        part.replace(target)
