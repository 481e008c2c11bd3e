"""A node that shows any value as text."""

import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import cast

from torch import Tensor

from nodegraph.definition.node import node
from nodegraph.graph.json_values import is_plain
from nodegraph.graph.results import Ui


@node("PreviewAny", category="utils", display_name="Preview Any", output_node=True)
def preview_any(source: object) -> Ui:
    """Show any value as text.

    Texts are shown unchanged, numbers and lists as JSON, images and other tensors by their shape
    and range.
    """
    return Ui(values={"text": [_text(source)]})


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, int | float):
        return str(value)
    if is_plain(value):
        return json.dumps(value, indent=4, ensure_ascii=False)
    if is_dataclass(value):
        parts = ((each.name, getattr(value, each.name)) for each in fields(value))
        return "\n".join(
            [type(value).__name__, *(f"{name}: {_brief(part)}" for name, part in parts)]
        )
    return _brief(value)


def _brief(value: object) -> str:
    """Describe a value in one line."""
    if isinstance(value, Tensor):
        kind = f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
        if not value.numel() or value.is_complex():
            return kind
        return f"{kind} from {value.min().item():g} to {value.max().item():g}"
    if is_plain(value):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple | list):
        parts = cast("Sequence[object]", value)
        return f"{len(parts)} of {', '.join(sorted({type(part).__name__ for part in parts}))}"
    return type(value).__name__
