"""The values that a saved node's widgets hold, by name."""

from collections.abc import Iterator, Mapping, Sequence

from nodegraph.graph.json_values import TYPE, WRAPPED, is_object
from nodegraph.workflow.editor.document import EditorNode
from nodegraph.workflow.editor.shapes import Inputs, Widget
from nodegraph.workflow.editor.texts import plain_prompt

_TYPED = ("CURVE",)
"""Widgets whose values are submitted with their type."""
_SAMPLER = "sampler_name"
_OLD_PREFIX = "sample_"
"""The start of samplers' names until 2023: `sample_euler`."""


def sent_values(node: EditorNode, inputs: Inputs, held: Mapping[str, object]) -> dict[str, object]:
    """Return the values that the node's widgets submit, by input.

    Args:
        node: the node.
        inputs: the inputs of its type.
        held: values that replace the node's own, by widget.
    """
    found: dict[str, object] = {}
    for widget, value in _pairs(inputs.widgets, _without_forced(node.values, inputs), held):
        if widget.sent:
            found[widget.name] = _as_sent(widget, value) if widget.saved else widget.default
    return found


def own_value(node: EditorNode) -> object:
    """Return the value of a node that consists of one widget."""
    values = node.values if not isinstance(node.values, Mapping) else [*node.values.values()]
    return values[0] if values else None


def _without_forced(
    values: Sequence[object] | Mapping[str, object], inputs: Inputs
) -> Sequence[object] | Mapping[str, object]:
    """Drop the values of inputs that were widgets once and are sockets by force now.

    Older editors saved them; they are told by the number of the values.
    """
    forced = inputs.forced
    if isinstance(values, Mapping) or len(values) != len(forced) or not any(forced):
        return values
    return [value for value, gone in zip(values, forced, strict=True) if not gone]


def _as_sent(widget: Widget, value: object) -> object:
    """Return a value as the editor submits it: with the type of a value that has one."""
    if widget.type not in _TYPED or not is_object(value) or TYPE in value:
        return value
    return {TYPE: widget.type, WRAPPED: value}


def _as_chosen(widget: Widget, value: object) -> object:
    """Return a widget's value as the editor corrects it: a list's null, `sample_` of 2023."""
    if value is None and widget.first is not None:
        return widget.first
    if widget.name == _SAMPLER and isinstance(value, str):
        return value.removeprefix(_OLD_PREFIX)
    return value


def _pairs(
    widgets: Sequence[Widget],
    values: Sequence[object] | Mapping[str, object],
    held: Mapping[str, object],
) -> Iterator[tuple[Widget, object]]:
    """Yield each widget with its value; a value may bring further widgets along."""
    by_name = values if isinstance(values, Mapping) else None
    in_order = iter(()) if isinstance(values, Mapping) else iter(values)
    pending = [*reversed(widgets)]
    while pending:
        widget = pending.pop()
        if not widget.has_place:
            value = widget.default
        elif by_name is None:
            value = next(in_order, widget.default)
        else:
            value = by_name.get(widget.name, widget.default)
        value = _as_chosen(widget, held.get(widget.name, value))
        if widget.prompt and isinstance(value, str):
            value = plain_prompt(value)
        yield widget, value
        branch = widget.branches.get(value) if isinstance(value, str) else None
        if branch:
            pending.extend(reversed(branch.widgets))
