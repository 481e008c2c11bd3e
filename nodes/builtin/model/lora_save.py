"""The node that makes a LoRA out of the difference of two models."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field
from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Optional, Step, Widget
from nodegraph.definition.node import node
from nodegraph.graph.results import Ui
from nodes.builtin.model.errors import NoDifferenceError
from nodes.imaging.metadata import texts
from nodes.models.export.lora import (
    LoraType,
    lora_tensors,
    model_differences,
    text_differences,
)
from nodes.models.loading.handles import ClipHandle, ModelHandle
from nodes.models.patches.merge import MergePatch
from nodes.models.weights.writer import chunks


@node(
    "LoraSave",
    category="_for_testing",
    display_name="Extract and Save Lora",
    output_node=True,
    experimental=True,
    hidden=("prompt", "extra_pnginfo"),
    preflight="nodes.preflight.images:check_prefix",
)
def lora_save(
    filename_prefix: Annotated[str, Widget(multiline=False)] = "loras/ComfyUI_extracted_lora",
    rank: Annotated[int, Field(ge=1, le=4096), Step(1)] = 8,
    *,
    lora_type: LoraType,
    bias_diff: bool = True,
    model_diff: Annotated[ModelHandle | None, Optional()] = None,
    text_encoder_diff: Annotated[ClipHandle | None, Optional()] = None,
    ctx: Context,
) -> Ui:
    """Write a LoRA that turns one model into another, into a file of the output folder.

    `model_diff` is the result of ModelMergeSubtract, the other model less the one that the LoRA is
    for, and `text_encoder_diff` that of CLIPMergeSubtract; without either nothing is written. With
    `standard` each weight's difference becomes two matrices of that `rank`, the closest there are;
    with `full_diff` it is kept whole. `bias_diff` adds the differences of biases and norms.
    """
    differences: dict[str, Tensor] = {}
    if model_diff is not None:
        _check("model_diff", model_diff.patches, "ModelMergeSubtract")
        differences |= model_differences(model_diff)
    if text_encoder_diff is not None:
        patches = [patch for _, patch in text_encoder_diff.patches]
        _check("text_encoder_diff", patches, "CLIPMergeSubtract")
        differences |= text_differences(text_encoder_diff)
    tensors: dict[str, Tensor] = {}
    found = lora_tensors(differences, lora_type, rank, with_biases=bias_diff)
    for number, each in enumerate(found, 1):
        tensors |= each
        ctx.progress(number, len(differences))
    if not tensors:
        ctx.notice("There is no difference to make a LoRA of; no file is written.")
        return Ui()
    data = chunks(tensors, texts(ctx))
    saved = ctx.files.save("output", filename_prefix, ".safetensors", data)
    return Ui(artifacts={"models": [saved]})


def _check(name: str, patches: Iterable[object], subtract: str) -> None:
    """Make sure that an input is the result of a node that subtracts.

    Raises:
        NoDifferenceError: it is not.
    """
    if not any(isinstance(patch, MergePatch) for patch in patches):
        raise NoDifferenceError(name, subtract)
