"""Conditionings in ComfyUI's forms: a list of [tokens, dict], and the dicts that guiders hold."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard, cast

from torch import Tensor

from nodes.comfy.values.errors import NotOfferedError
from nodes.values import Area, ConcatLatent, Cond, Conditioning, RelativeArea

ORIGIN = "nodegraph_condition"
"""The key in the dict of the original condition, for what ComfyUI's dict has no place for."""
HOOKS = "hooks"
"""The key of a condition's hooks, which change the model for it alone."""
_PERCENT = "percentage"
_TOKENS = "cross_attn"
_GIVEN = "model_conds"
_GUIDERS_OWN = (_TOKENS, "uuid")


def conditioning_to(conditioning: Conditioning) -> list[list[Any]]:
    """Convert a conditioning to ComfyUI's list; its tensors are copies."""
    return [[host_copy(cond.tokens), _cond_dict(cond)] for cond in conditioning.conds]


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
        "pooled_output": None if cond.pooled is None else host_copy(cond.pooled),
        "strength": cond.strength,
        "mask": None if cond.mask is None else host_copy(cond.mask),
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
        values["concat_latent_image"] = host_copy(cond.concat.latent)
        values["concat_mask"] = copy_of(cond.concat.mask)
    return {**{key: copy_of(value) for key, value in cond.extras.items()}, **values, ORIGIN: cond}


def _cond(tokens: Tensor, values: dict[str, Any]) -> Cond:
    """Make a condition from its dict.

    Raises:
        NotOfferedError: it has hooks.
    """
    if getattr(values.pop(HOOKS, None), "hooks", ()):
        what = "hooks of a conditioning"
        hint = "They change the model for single conditions; LoRAs on a MODEL work."
        raise NotOfferedError(what, hint=hint)
    origin = values.pop(ORIGIN, None)
    base = origin if isinstance(origin, Cond) else Cond(tokens)
    tokens = _given_tokens(values.pop(_GIVEN, None) or {}, tokens)
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


def _given_tokens(given: Mapping[str, Any], tokens: Tensor) -> Tensor:
    """Return a condition's text, in whose place a pack may have put another in `model_conds`.

    Raises:
        NotOfferedError: it has put something else there.
    """
    others = [name for name in given if name != "c_crossattn"]
    if others:
        what = f"{others[0]!r} in a condition's model_conds"
        raise NotOfferedError(what, hint="`c_crossattn` works.")
    return given["c_crossattn"].cond if given else tokens


def _area(area: Any) -> tuple[Area | None, RelativeArea | None]:
    if area is None:
        return None, None
    if area[0] == _PERCENT:
        return None, RelativeArea(*(float(part) for part in area[1:]))
    return Area(*(int(part) for part in area)), None


def host_copy(tensor: Tensor) -> Tensor:
    """Return a copy on the CPU, which packs are told is the device between nodes."""
    return tensor.clone() if tensor.is_cpu else tensor.cpu()


def copy_of(value: object) -> object:
    """Return a value with copies of the tensors in it, on the CPU."""
    if isinstance(value, Tensor):
        return host_copy(value)
    if isinstance(value, tuple | list):
        items = cast("Sequence[object]", value)
        return type(value)(copy_of(item) for item in items)
    return value


def to_entries(conditions: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """Convert ComfyUI's list to the dicts that its guiders hold, with a number of their own."""
    return [
        {**values, _TOKENS: tokens, "model_conds": {}, "uuid": uuid.uuid4()}
        for tokens, values in conditions
    ]


def from_entries(entries: Iterable[Mapping[str, Any]]) -> Conditioning:
    """Convert a guider's dicts to a conditioning."""
    return conditioning_from(
        [
            (
                entry[_TOKENS],
                {key: value for key, value in entry.items() if key not in _GUIDERS_OWN},
            )
            for entry in entries
        ]
    )
