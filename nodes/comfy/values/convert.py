"""Conversion of link values from and to ComfyUI's form."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard, cast

from torch import Tensor

from nodegraph.graph.results import Blocked
from nodes.comfy.values.media import PackVideo, audio_to, media_from
from nodes.comfy.values.models import PackClip, PackModel, PackVae
from nodes.media.values import Audio, VideoFile, VideoFrames
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.values import Area, ConcatLatent, Cond, Conditioning, Latent, RelativeArea

ORIGIN = "nodegraph_condition"
"""The key in the dict of the original condition, for what ComfyUI's dict has no place for."""
_PERCENT = "percentage"
_LATENT_KEYS = ("samples", "noise_mask", "batch_index")


@dataclass(frozen=True, slots=True)
class ExecutionBlocker:
    """Stops every node that reads it from running."""

    message: str | None = None


def conditioning_to(conditioning: Conditioning) -> list[list[Any]]:
    """Convert a conditioning to ComfyUI's list; its tensors are copies."""
    return [[_host_copy(cond.tokens), _cond_dict(cond)] for cond in conditioning.conds]


def conditioning_from(conditions: Sequence[Sequence[Any]]) -> Conditioning:
    """Convert ComfyUI's list to a conditioning; unknown keys become extras."""
    return Conditioning(tuple(_cond(tokens, dict(more)) for tokens, more in conditions))


def is_conditioning(value: object) -> TypeGuard[list[list[Any]]]:
    """Return True for a list of [tokens, dict]."""
    if not isinstance(value, list | tuple):
        return False
    items = cast("Sequence[Any]", value)
    return bool(items) and all(
        isinstance(item, list | tuple)
        and len(cast("Sequence[Any]", item)) == 2
        and isinstance(item[0], Tensor)
        and isinstance(item[1], dict)
        for item in items
    )


def _cond_dict(cond: Cond) -> dict[str, Any]:
    """Return a condition's dict."""
    values: dict[str, Any] = {
        "pooled_output": None if cond.pooled is None else _host_copy(cond.pooled),
        "strength": cond.strength,
        "mask": None if cond.mask is None else _host_copy(cond.mask),
        "mask_strength": cond.mask_strength,
        "set_area_to_bounds": cond.mask_bounds,
        "start_percent": cond.start,
        "end_percent": cond.end,
    }
    defaults = {
        "strength": 1.0,
        "mask": None,
        "mask_strength": 1.0,
        "set_area_to_bounds": False,
        "start_percent": 0.0,
        "end_percent": 1.0,
    }
    values = {
        key: value for key, value in values.items() if key not in defaults or value != defaults[key]
    }
    if cond.relative_area:
        values["area"] = (
            _PERCENT,
            cond.relative_area.height,
            cond.relative_area.width,
            cond.relative_area.y,
            cond.relative_area.x,
        )
    elif cond.area:
        values["area"] = (cond.area.height, cond.area.width, cond.area.y, cond.area.x)
    if cond.concat is not None:
        values["concat_latent_image"] = _host_copy(cond.concat.latent)
        values["concat_mask"] = _copy(cond.concat.mask)
    return {**{key: _copy(value) for key, value in cond.extras.items()}, **values, ORIGIN: cond}


def _cond(tokens: Tensor, values: dict[str, Any]) -> Cond:
    """Make a condition from its dict."""
    origin = values.pop(ORIGIN, None)
    base = origin if isinstance(origin, Cond) else Cond(tokens)
    area, relative_area = _area(values.pop("area", None))
    latent, mask = values.pop("concat_latent_image", None), values.pop("concat_mask", None)
    return replace(
        base,
        tokens=tokens,
        pooled=values.pop("pooled_output", None),
        area=area,
        relative_area=relative_area,
        strength=float(values.pop("strength", 1.0)),
        mask=values.pop("mask", None),
        mask_strength=float(values.pop("mask_strength", 1.0)),
        mask_bounds=bool(values.pop("set_area_to_bounds", False)),
        start=float(values.pop("start_percent", 0.0)),
        end=float(values.pop("end_percent", 1.0)),
        concat=None if latent is None else ConcatLatent(latent, mask),
        extras=values,
    )


def _area(area: Any) -> tuple[Area | None, RelativeArea | None]:
    if area is None:
        return None, None
    if area[0] == _PERCENT:
        return None, RelativeArea(*(float(part) for part in area[1:]))
    return Area(*(int(part) for part in area)), None


def _host_copy(tensor: Tensor) -> Tensor:
    """Return a copy on the CPU, which packs are told is the device between nodes."""
    return tensor.clone() if tensor.is_cpu else tensor.cpu()


def _copy(value: object) -> object:
    if isinstance(value, Tensor):
        return _host_copy(value)
    if isinstance(value, tuple | list):
        items = cast("Sequence[object]", value)
        return type(value)(_copy(item) for item in items)
    return value


def latent_to(latent: Latent) -> dict[str, Any]:
    """Convert a latent to ComfyUI's dict; its tensors are copies."""
    values: dict[str, Any] = {"samples": _host_copy(latent.samples).contiguous()}
    if latent.noise_mask is not None:
        values["noise_mask"] = _host_copy(latent.noise_mask)
    if latent.batch_index is not None:
        values["batch_index"] = list(latent.batch_index)
    extras = {key: _copy(value) for key, value in latent.extras.items()}
    return extras | values


def latent_from(values: dict[str, Any]) -> Latent:
    """Convert ComfyUI's dict to a latent; a mask gets four dimensions."""
    mask, index = values.get("noise_mask"), values.get("batch_index")
    if isinstance(mask, Tensor) and mask.ndim < 4:
        mask = mask.reshape(-1, 1, *mask.shape[-2:])
    return Latent(
        samples=values["samples"],
        noise_mask=mask,
        batch_index=None if index is None else tuple(index),
        extras={key: value for key, value in values.items() if key not in _LATENT_KEYS},
    )


_TO: dict[type, Callable[[Any], object]] = {
    Latent: latent_to,
    Conditioning: conditioning_to,
    ModelHandle: PackModel,
    ClipHandle: PackClip,
    VaeHandle: PackVae,
    Audio: audio_to,
    VideoFile: PackVideo,
    VideoFrames: PackVideo,
}
_FROM: dict[type, Callable[[Any], object]] = {
    PackModel: PackModel.to_handle,
    PackClip: lambda clip: clip.handle,
    PackVae: lambda vae: vae.handle,
    PackVideo: lambda video: video.video,
    ExecutionBlocker: lambda blocker: Blocked(blocker.message),
}


def to_pack(value: object) -> object:
    """Convert a value to ComfyUI's form."""
    if isinstance(value, Tensor):
        return _host_copy(value)
    convert = _TO.get(type(value))
    if convert:
        return convert(value)
    if type(value) is dict:
        items_by_key = cast("dict[object, object]", value)
        return {key: to_pack(item) for key, item in items_by_key.items()}
    if type(value) is list or type(value) is tuple:
        items = cast("Sequence[object]", value)
        return type(value)(to_pack(item) for item in items)
    return value


def move_to_cpu(value: object) -> object:
    """Return a value with the tensors in it on the CPU; the same object if they are there."""
    if isinstance(value, Tensor):
        return value.cpu()
    if type(value) is dict:
        items_by_key = cast("dict[object, object]", value)
        moved = {key: move_to_cpu(item) for key, item in items_by_key.items()}
        return moved if any(moved[key] is not items_by_key[key] for key in moved) else value
    if type(value) is list or type(value) is tuple:
        items = cast("Sequence[object]", value)
        there = [move_to_cpu(item) for item in items]
        changed = any(new is not old for new, old in zip(there, items, strict=True))
        return type(value)(there) if changed else value
    return value


def from_pack(value: object, socket: str) -> object:
    """Convert a value that a pack returned, for a socket.

    Its tensors come to the CPU, which packs are told is the device between nodes.
    """
    value = move_to_cpu(value)
    ours = next((back for kind, back in _FROM.items() if isinstance(value, kind)), None)
    if ours:
        return ours(value)
    if isinstance(value, dict) and socket in ("LATENT", "*"):
        latent = cast("dict[str, Any]", value)
        return latent_from(latent) if isinstance(latent.get("samples"), Tensor) else latent
    if socket in ("CONDITIONING", "*") and is_conditioning(value):
        return conditioning_from(cast("Any", value))
    return media_from(value, socket)
