"""What a model file's header tells before anything is computed; needs no torch."""

from collections.abc import Mapping

from nodegraph.files import Files
from nodes.families.known import architecture_of
from nodes.weights.header import read_header


def checkpoint(inputs: Mapping[str, object], files: Files) -> None:
    """Check that the checkpoint is whole, of a format that is read and of a known family.

    Raises:
        NodeGraphError: it is not.
    """
    name = inputs.get("ckpt_name")
    if isinstance(name, str):
        architecture_of(read_header(files.model("checkpoints", name)))


def lora(inputs: Mapping[str, object], files: Files) -> None:
    """Check that the LoRA is whole and of a format that is read.

    Raises:
        NodeGraphError: it is not.
    """
    name = inputs.get("lora_name")
    if isinstance(name, str):
        read_header(files.model("loras", name))
