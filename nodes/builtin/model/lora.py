"""Nodes that apply LoRAs to models."""

from collections.abc import Mapping
from typing import Annotated, NamedTuple

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import ModelFile, Step
from nodegraph.definition.node import node
from nodegraph.files.files import Files
from nodegraph.files.references import read_name
from nodes.builtin.model.errors import LoraMismatchError
from nodes.models.families.registry import title_of
from nodes.models.loading.handles import ClipHandle, ModelHandle
from nodes.models.patches.lora import lora_patch
from nodes.models.patches.lora_config import read_beside
from nodes.models.patches.lora_file import LoraFile
from nodes.models.patches.lora_names import is_for_text, likeness

Strength = Annotated[float, Field(ge=-100.0, le=100.0), Step(0.01)]
_SHOWN = 3


class ModelAndClip(NamedTuple):
    """A model and a text encoder with a LoRA."""

    MODEL: ModelHandle
    CLIP: ClipHandle


def _config_beside(arguments: Mapping[str, object], files: Files) -> str:
    """Return the outside state of a node that loads a LoRA: PEFT's configuration beside it."""
    name = arguments.get("lora_name")
    if not isinstance(name, str) or read_name(name).hub:
        return ""
    return read_beside(files.models.source("loras", name))


@node(
    "LoraLoader",
    category="loaders",
    display_name="Load LoRA",
    preflight="nodes.preflight.models:lora",
    state=_config_beside,
)
def lora_loader(
    model: ModelHandle,
    clip: ClipHandle,
    lora_name: Annotated[str, ModelFile("loras")],
    ctx: Context,
    strength_model: Strength = 1.0,
    strength_clip: Strength = 1.0,
) -> ModelAndClip:
    """Apply a LoRA to a model and its text encoder; several can be chained.

    At strength 0 nothing changes. The checkpoint's own weights are never modified.
    """
    if strength_model == 0 and strength_clip == 0:
        return ModelAndClip(model, clip)
    file = _lora_file(lora_name, ctx)
    on_model = lora_patch(file, strength_model, model.model.network)
    used = set(on_model.targets)
    for encoder in clip.text.found:
        on_text = lora_patch(file, strength_clip, encoder.network)
        used |= set(on_text.targets)
        if strength_clip and on_text.targets:
            clip = clip.with_patch(encoder.name, on_text)
    _report(file, used, model, ctx)
    return ModelAndClip(
        model.with_patch(on_model) if strength_model and on_model.targets else model, clip
    )


@node(
    "LoraLoaderModelOnly",
    category="loaders",
    preflight="nodes.preflight.models:lora",
    state=_config_beside,
)
def lora_loader_model_only(
    model: ModelHandle,
    lora_name: Annotated[str, ModelFile("loras")],
    ctx: Context,
    strength_model: Strength = 1.0,
) -> ModelHandle:
    """Apply a LoRA to a model only; the text encoder is not changed."""
    if strength_model == 0:
        return model
    file = _lora_file(lora_name, ctx)
    patch = lora_patch(file, strength_model, model.model.network)
    text = {name for name in file.modules if is_for_text(name)}
    _report(file, {*patch.targets, *text}, model, ctx)
    return model.with_patch(patch) if patch.targets else model


def _lora_file(name: str, ctx: Context) -> LoraFile:
    path = ctx.files.model("loras", name)
    return LoraFile(path, ctx.files.identity(path), read_beside(path))


def _report(file: LoraFile, used: set[str], model: ModelHandle, ctx: Context) -> None:
    """Report the LoRA's modules that match no layer.

    Raises:
        LoraMismatchError: none matches, or only by chance.
    """
    unused = [*(name for name in file.modules if name not in used), *file.unknown_keys]
    spec = model.model.network.spec
    like = likeness(file, spec.kind)
    if (unused and not used) or (like and like.contradicts(spec)):
        family = title_of(model.model.spec.family)
        looks = like.title if like else None
        raise LoraMismatchError(file.path.name, family, looks, (unused or sorted(used))[:_SHOWN])
    if unused:
        some = ", ".join(unused[:_SHOWN]) + (", …" if len(unused) > _SHOWN else "")
        total = len(file.modules) + len(file.unknown_keys)
        ctx.notice(
            f"LoRA {file.path.name}: {len(unused)} of {total} modules match no layer: {some}"
        )
