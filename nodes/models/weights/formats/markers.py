"""The formats that a file says its layers are in.

It says so in a tensor of each layer, `comfy_quant`, whose bytes are JSON, or of all layers in the
JSON of its metadata's `_quantization_metadata`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from nodes.models.weights.errors import WeightFileError
from nodes.models.weights.formats.layer_formats import KINDS, ROTATION, LayerFormat

METADATA = "_quantization_metadata"
_ROTATIONS = (4, 16, 64, 256, 1024)
"""The sizes of the rotations that there are: powers of four."""


def parse_markers(
    path: Path, metadata: Mapping[str, str], texts: Mapping[str, bytes]
) -> dict[str, LayerFormat]:
    """Return the formats of the layers that a file speaks of, by their names.

    Args:
        path: of the file, for errors.
        metadata: of the file.
        texts: the bytes of the layers' own markers, by the layers' names.

    Raises:
        WeightFileError: one can not be understood, or names a format that is not read here.
    """
    said = _from_metadata(path, metadata[METADATA]) if METADATA in metadata else {}
    said |= {layer: _json(path, repr(layer), text) for layer, text in texts.items()}
    return {layer: _format(path, layer, options) for layer, options in said.items()}


def unreadable(path: Path, layer: str, reason: str) -> WeightFileError:
    """Return the error of a layer that is not read here."""
    hint = f"Use a quantisation in one of these formats: {', '.join(sorted(KINDS))}."
    return WeightFileError(
        path, f"its layer {layer!r}: {reason}", code="unreadable_layers", hint=hint
    )


def _from_metadata(path: Path, text: str) -> dict[str, dict[str, Any]]:
    """Return the options of layers as the metadata have them."""
    found = _json(path, METADATA, text.encode()).get("layers", {})
    entries = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    for layer, options in entries.items():
        if not isinstance(options, dict):
            raise unreadable(path, layer, f"{METADATA} has no JSON object for it")
    named = cast("dict[str, dict[str, Any]]", entries)
    return {layer.removesuffix(".weight"): options for layer, options in named.items()}


def _json(path: Path, place: str, text: bytes) -> dict[str, Any]:
    try:
        found: object = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise unreadable(path, place, "what is said of its format is not JSON") from error
    if not isinstance(found, dict):
        raise unreadable(path, place, "what is said of its format is no JSON object")
    return cast("dict[str, Any]", found)


def _format(path: Path, layer: str, said: Mapping[str, Any]) -> LayerFormat:
    more: object = said.get("params")
    nested = cast("dict[str, Any]", more) if isinstance(more, dict) else {}
    options: dict[str, Any] = {**nested, **said}
    name: object = options.get("format")
    if not isinstance(name, str) or name not in KINDS:
        raise unreadable(path, layer, f"the format {name!r} is not known")
    kind = KINDS[name]
    group = _number(path, layer, options, "group_size", kind.group) if kind.group else 0
    rotates = kind.rotates == "yes" or (kind.rotates == "if said" and options.get("convrot"))
    rotation = _number(path, layer, options, "convrot_groupsize", ROTATION) if rotates else 0
    if rotation and rotation not in _ROTATIONS:
        raise unreadable(path, layer, f"it is rotated by {rotation}, which is not in {_ROTATIONS}")
    return LayerFormat(name, group, rotation)


def _number(path: Path, layer: str, options: Mapping[str, Any], name: str, default: int) -> int:
    value = options.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise unreadable(path, layer, f"{name} is {value!r}, not a number above 0")
    return value
