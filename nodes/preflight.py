"""What a model file's header tells before anything is computed; needs no torch."""

from collections.abc import Mapping

from nodegraph.files import Files
from nodes.errors import NotALoraError
from nodes.families.known import architecture_of
from nodes.weights.header import read_header
from nodes.weights.lora_file import LoraFile


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
        path = files.model("loras", name)
        if not LoraFile(path, identity="").modules:
            raise NotALoraError(path)
