"""Open model files: nodes that return handles; the weights are read when they are first used."""

from typing import Annotated, NamedTuple

from nodegraph.context import Context
from nodegraph.define import node
from nodegraph.markers import ModelFile
from nodes.weights.checkpoint import open_checkpoint
from nodes.weights.handle import ClipHandle, ModelHandle, VaeHandle


class Loaded(NamedTuple):
    """The parts of a checkpoint."""

    MODEL: ModelHandle
    CLIP: ClipHandle
    VAE: VaeHandle


@node(
    "CheckpointLoaderSimple",
    category="loaders",
    display_name="Load Checkpoint",
    preflight="nodes.preflight:checkpoint",
)
def checkpoint_loader_simple(
    ckpt_name: Annotated[str, ModelFile("checkpoints")], ctx: Context
) -> Loaded:
    """Open a checkpoint: the model, the text encoder and the VAE that one file holds."""
    path = ctx.files.model("checkpoints", ckpt_name)
    opened = open_checkpoint(path, ctx.files.identity(path))
    return Loaded(ModelHandle(opened.model), ClipHandle(opened.text), VaeHandle(opened.vae))
