"""Node types of Comfyroll: stacks of LoRAs, a seed, and a number as text."""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple, TypeAlias

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Choices, ModelFile, Optional, Step, Widget
from nodegraph.definition.node import node
from nodegraph.graph.sockets import Socket
from nodes.builtin.inputs import Seed
from nodes.builtin.model.lora import lora_loader
from nodes.models.loading.handles import ClipHandle, ModelHandle

NONE = "None"
LoraName = Annotated[str, Choices((NONE,)), ModelFile("loras")]
LoraStack: TypeAlias = Annotated[Sequence[tuple[str, float, float]], Socket("LORA_STACK")]
"""LoRAs: the file's name, its strength for the model and that for the text encoder."""

_Switch: TypeAlias = Literal["Off", "On"]
_Weight = Annotated[float, Field(ge=-10.0, le=10.0), Step(0.01)]
_CATEGORY = "popular/Comfyroll"
_HELP = "https://github.com/Suzie1/ComfyUI_Comfyroll_CustomNodes/wiki"


class StackAndHelp(NamedTuple):
    """The outputs of `CR LoRA Stack`."""

    LORA_STACK: LoraStack
    show_help: str


class PatchedAndHelp(NamedTuple):
    """The outputs of `CR Apply LoRA Stack`."""

    MODEL: ModelHandle
    CLIP: ClipHandle
    show_help: str


class SeedAndHelp(NamedTuple):
    """The outputs of `CR Seed`."""

    seed: int
    show_help: str


class TextAndHelp(NamedTuple):
    """The outputs of `CR Integer To String`."""

    STRING: str
    show_help: str


def apply_stack(
    model: ModelHandle, clip: ClipHandle, stack: LoraStack, ctx: Context
) -> tuple[ModelHandle, ClipHandle]:
    """Apply LoRAs one after the other."""
    for name, on_model, on_clip in stack:
        model, clip = lora_loader(model, clip, name, ctx, on_model, on_clip)
    return model, clip


@node("CR LoRA Stack", category=_CATEGORY, gives_way=True)
def cr_lora_stack(
    *,
    switch_1: _Switch,
    lora_name_1: LoraName,
    model_weight_1: _Weight = 1.0,
    clip_weight_1: _Weight = 1.0,
    switch_2: _Switch,
    lora_name_2: LoraName,
    model_weight_2: _Weight = 1.0,
    clip_weight_2: _Weight = 1.0,
    switch_3: _Switch,
    lora_name_3: LoraName,
    model_weight_3: _Weight = 1.0,
    clip_weight_3: _Weight = 1.0,
    lora_stack: Annotated[LoraStack | None, Optional()] = None,
) -> StackAndHelp:
    """List up to three LoRAs that are switched on, after those of `lora_stack`."""
    added = (
        (switch_1, lora_name_1, model_weight_1, clip_weight_1),
        (switch_2, lora_name_2, model_weight_2, clip_weight_2),
        (switch_3, lora_name_3, model_weight_3, clip_weight_3),
    )
    chosen = [(name, *weights) for switch, name, *weights in added if _is_on(switch, name)]
    return StackAndHelp(
        [*(lora_stack or ()), *((name, model, clip) for name, model, clip in chosen)],
        f"{_HELP}/LoRA-Nodes#cr-lora-stack",
    )


@node("CR Apply LoRA Stack", category=_CATEGORY, gives_way=True)
def cr_apply_lora_stack(
    model: ModelHandle, clip: ClipHandle, lora_stack: LoraStack, ctx: Context
) -> PatchedAndHelp:
    """Apply LoRAs to a model and its text encoder, one after the other; see `LoraLoader`."""
    page = f"{_HELP}/LoRA-Nodes#cr-apply-lora-stack"
    return PatchedAndHelp(*apply_stack(model, clip, lora_stack, ctx), page)


@node("CR Seed", category=_CATEGORY, output_node=True, gives_way=True)
def cr_seed(seed: Seed = 0) -> SeedAndHelp:
    """Hold a seed, for all inputs that it is linked to."""
    return SeedAndHelp(seed, f"{_HELP}/Core-Nodes#cr-seed")


@node("CR Integer To String", category=_CATEGORY, gives_way=True)
def cr_integer_to_string(
    int_: Annotated[int, Field(ge=0, le=2**64 - 1), Widget(forceInput=True)] = 0,
) -> TextAndHelp:
    """Write a whole number as text."""
    return TextAndHelp(str(int_), f"{_HELP}/Conversion-Nodes#cr-integer-to-string")


def _is_on(switch: str, name: str) -> bool:
    return switch == "On" and name != NONE
