"""Node types of ComfyUI_IPAdapter_plus, by our IP-Adapters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PureWindowsPath
from typing import Annotated, Literal, NamedTuple, TypeAlias

import torch
from pydantic import Field
from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Choices, ModelFile, Optional, Step
from nodegraph.definition.node import node
from nodegraph.errors import NodeGraphError
from nodegraph.files.files import Files
from nodes.builtin.conditioning.clip_vision import clip_vision_loader
from nodes.builtin.conditioning.ip_adapter import ip_adapter_loader
from nodes.builtin.inputs import Fraction
from nodes.models.adapters.ip_adapter import ImageKeys, IPAdapterHandle, IPAdapterInjection
from nodes.models.adapters.ip_adapter_weights import SHAPES, Layer, weights_of, width_penalty
from nodes.models.loading.handles import ModelHandle
from nodes.models.loading.vision import VisionHandle
from nodes.values import Image, Mask

Weight = Annotated[float, Field(ge=-1.0, le=5.0), Step(0.05)]
Scaling: TypeAlias = Literal["V only", "K+V", "K+V w/ C penalty", "K+mean(V) w/ C penalty"]
SimpleType: TypeAlias = Literal["standard", "prompt is more important", "style transfer"]

_CATEGORY = "popular/IPAdapter_plus"
_OLDER: Mapping[str, str] = {
    "style transfer (SDXL)": "style transfer",
    "composition (SDXL)": "composition",
    "original": "linear",
}
"""Names of weight types in older files."""
_SIMPLE: Mapping[SimpleType, str] = {
    "standard": "linear",
    "prompt is more important": "ease out",
    "style transfer": "style transfer",
}
_COMBINE: Mapping[str, Callable[[Tensor], Tensor]] = {
    "add": lambda x: x.sum(dim=0, keepdim=True),
    "subtract": lambda x: x[:1] - x[1:].sum(dim=0, keepdim=True) / max(1, len(x) - 1),
    "average": lambda x: x.sum(dim=0, keepdim=True) / len(x),
    "norm average": lambda x: (
        (x / x.square().sum(dim=0, keepdim=True).sqrt()).sum(dim=0, keepdim=True) / len(x)
    ),
}

_VIT_H = ("clip-vit-h-14-laion2b-s32b-b79k", "clip_vision_h")
_VIT_G = ("clip-vit-bigg-14-laion2b-39b-b160k", "clip_vision_g")
_PRESETS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "LIGHT - SD1.5 only (low strength)": {
        "sd15": ("ip-adapter_sd15_light_v11", "ip-adapter_sd15_light"),
    },
    "STANDARD (medium strength)": {
        "sd15": ("ip-adapter_sd15",),
        "sdxl": ("ip-adapter_sdxl_vit-h",),
    },
    "VIT-G (medium strength)": {
        "sd15": ("ip-adapter_sd15_vit-g",),
        "sdxl": ("ip-adapter_sdxl",),
    },
    "PLUS (high strength)": {
        "sd15": ("ip-adapter-plus_sd15",),
        "sdxl": ("ip-adapter-plus_sdxl_vit-h",),
    },
    "PLUS FACE (portraits)": {
        "sd15": ("ip-adapter-plus-face_sd15",),
        "sdxl": ("ip-adapter-plus-face_sdxl_vit-h",),
    },
    "FULL FACE - SD1.5 only (portraits stronger)": {"sd15": ("ip-adapter-full-face_sd15",)},
}
"""The files' names without their suffix, by preset and by family; the first one that is there."""


class ModelAndAdapter(NamedTuple):
    """The outputs of `IPAdapterUnifiedLoader`."""

    model: ModelHandle
    ipadapter: IPAdapterHandle


@node(
    "IPAdapterModelLoader",
    category=_CATEGORY,
    display_name="IPAdapter Model Loader",
    gives_way=True,
)
def ip_adapter_model_loader(
    ipadapter_file: Annotated[str, ModelFile("ipadapter")], ctx: Context
) -> IPAdapterHandle:
    """Open an IP-Adapter; see `IPAdapterLoader`."""
    return ip_adapter_loader(ipadapter_file, ctx)


def _files_there(_inputs: Mapping[str, object], files: Files) -> str:
    """Return the names and times of the files that presets choose from."""
    found = [
        f"{name} {files.models.source(folder, name).stat().st_mtime_ns}"
        for folder in ("ipadapter", "clip_vision")
        for name in files.model_names(folder)
    ]
    return "\n".join(found)


@node(
    "IPAdapterUnifiedLoader",
    category=_CATEGORY,
    display_name="IPAdapter Unified Loader",
    state=_files_there,
    gives_way=True,
)
def ip_adapter_unified_loader(
    model: ModelHandle,
    preset: Annotated[str, Choices(tuple(_PRESETS))],
    ipadapter: Annotated[IPAdapterHandle | None, Optional()] = None,
    *,
    ctx: Context,
) -> ModelAndAdapter:
    """Open the IP-Adapter of a preset that is made for the model, and its vision encoder.

    They are found by the names that their authors gave them, in `models/ipadapter` and
    `models/clip_vision`. `ipadapter` hands on a vision encoder that is open already.
    """
    family = model.model.spec.family
    names = _PRESETS[preset].get(family)
    if names is None:
        message = f"the preset {preset!r} has nothing for a model of the family {family}."
        raise NodeGraphError(message, hint="Choose another preset.", input_name="preset")
    adapter = ip_adapter_loader(_find("ipadapter", names, ctx), ctx)
    if ipadapter and ipadapter.vision:
        return ModelAndAdapter(model, replace(adapter, vision=ipadapter.vision))
    reads_g = preset.startswith("VIT-G")
    eyes = clip_vision_loader(_find("clip_vision", _VIT_G if reads_g else _VIT_H, ctx), ctx)
    return ModelAndAdapter(model, replace(adapter, vision=eyes))


@node("IPAdapter", category=_CATEGORY, display_name="IPAdapter", gives_way=True)
def ip_adapter_simple(
    *,
    model: ModelHandle,
    ipadapter: IPAdapterHandle,
    image: Image,
    weight: Annotated[float, Field(ge=-1.0, le=3.0), Step(0.05)] = 1.0,
    start_at: Fraction = 0.0,
    end_at: Fraction = 1.0,
    weight_type: SimpleType,
    attn_mask: Annotated[Mask | None, Optional()] = None,
) -> ModelHandle:
    """Prompt the model with images, by an IP-Adapter of `IPAdapterUnifiedLoader`."""
    return ip_adapter_advanced(
        model=model,
        ipadapter=ipadapter,
        image=image,
        weight=weight,
        weight_type=_SIMPLE[weight_type],
        combine_embeds="concat",
        start_at=start_at,
        end_at=end_at,
        embeds_scaling="V only",
        attn_mask=attn_mask,
    )


@node("IPAdapterAdvanced", category=_CATEGORY, display_name="IPAdapter Advanced", gives_way=True)
def ip_adapter_advanced(
    *,
    model: ModelHandle,
    ipadapter: IPAdapterHandle,
    image: Image,
    weight: Weight = 1.0,
    weight_type: Annotated[str, Choices((*SHAPES, *_OLDER))],
    combine_embeds: Literal["concat", "add", "subtract", "average", "norm average"],
    start_at: Fraction = 0.0,
    end_at: Fraction = 1.0,
    embeds_scaling: Scaling,
    image_negative: Annotated[Image | None, Optional()] = None,
    attn_mask: Annotated[Mask | None, Optional()] = None,
    clip_vision: Annotated[VisionHandle | None, Optional()] = None,
) -> ModelHandle:
    """Prompt the model with images besides the text; several can be chained and add up.

    `weight_type` says in which layers the weight holds: `style transfer` and `composition` in those
    that carry style and composition. `combine_embeds` reads a batch of images together (`concat`)
    or as one. `embeds_scaling` says what the weight multiplies: the values alone, or the keys, too.
    `image_negative` is what to avoid. See `IPAdapterApply`.
    """
    ipadapter.check(model.model)
    eyes = clip_vision or ipadapter.vision
    if eyes is None:
        message = "there is no vision encoder."
        hint = "Link one to clip_vision, or take the IP-Adapter from IPAdapterUnifiedLoader."
        raise NodeGraphError(message, hint=hint, input_name="clip_vision")
    seen = eyes.see(image)
    if len(image) > 1 and combine_embeds != "concat":
        seen = ipadapter.combine(seen, _COMBINE[combine_embeds])
    if image_negative is None:
        negative = ipadapter.negative_keys(seen, eyes.see_nothing())
    else:
        negative = ipadapter.keys(eyes.see(image_negative))
    shape = SHAPES[_OLDER.get(weight_type, weight_type)]
    mask = attn_mask if attn_mask is None or attn_mask.ndim > 2 else attn_mask[None]
    plain = IPAdapterInjection(ipadapter.keys(seen), negative, weight, start_at, end_at, mask)

    def weigh(factor: Callable[[Layer], float]) -> Tensor:
        return weights_of(model.model, weight, factor)

    injection = _with_scaling(
        plain,
        embeds_scaling,
        weigh(shape),
        weigh(lambda layer: shape(layer) * width_penalty(layer)),
    )
    return replace(model, injections=(*model.injections, injection))


def _with_scaling(
    plain: IPAdapterInjection, scaling: Scaling, weight: Tensor, penalized: Tensor
) -> IPAdapterInjection:
    """Return an injection with a weight for each layer, on values or on keys and values."""
    if scaling == "V only":
        return replace(plain, weight=weight)
    if scaling == "K+V":
        return replace(plain, weight=weight, key_weight=weight)
    if scaling == "K+V w/ C penalty":
        return replace(plain, weight=penalized, key_weight=penalized)
    positive, negative = (
        _around_mean(each, penalized) for each in (plain.positive, plain.negative)
    )
    reads = torch.where(penalized == 0, 0.0, 1.0)
    return replace(plain, positive=positive, negative=negative, weight=reads, key_weight=penalized)


def _around_mean(images: ImageKeys, weight: Tensor) -> ImageKeys:
    """Multiply the differences of the values from their mean over all tokens."""
    mean = images.values.mean(dim=1, keepdim=True)
    return replace(images, values=mean + (images.values - mean) * weight.to(mean))


def _find(folder: str, names: Sequence[str], ctx: Context) -> str:
    """Return the file of a model folder that has one of the names, with any suffix.

    Raises:
        NodeGraphError: there is none.
    """
    there = {PureWindowsPath(name.lower()).stem: name for name in ctx.files.model_names(folder)}
    found = next((there[name] for name in names if name in there), None)
    if found is None:
        message = f"the folder {folder} has no file called {names[0]}.safetensors."
        hint = f"Put it into models/{folder}, under the name that its authors gave it."
        raise NodeGraphError(message, hint=hint, input_name="preset")
    return found
