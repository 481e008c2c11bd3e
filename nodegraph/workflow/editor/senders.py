"""The rules by which a node of "Use Everywhere" sends its inputs to others.

A node's properties limit it to nodes of some title, group or colour, and to inputs of some name.
If several send to one input, the one with the highest priority does; none does if two have it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from nodegraph.graph.graph import NodeId
from nodegraph.graph.json_values import is_object
from nodegraph.graph.sockets import ANY
from nodegraph.workflow.editor.document import INPUT_SIDE, Canvas, EditorNode, Slot, Wire
from nodegraph.workflow.editor.scopes import REROUTES, SEED_EVERYWHERE

PROPERTIES: Final = "ue_properties"
_PROMPTS_EVERYWHERE: Final = "Prompts Everywhere"
_BY_NAME: Final = "Anything Everywhere?"
_SEARCH_NAME: Final = "Node name for S&R"
_SEEDS = r"seed"
_PROMPTS = (r"(_|\b)pos(itive|_|\b)|^prompt", r"(_|\b)neg(ative|_|\b)")
_OWN_PATTERNS = ("prompt_regex", "negative_regex")
_PATTERNS = ("title_regex", "input_regex", "group_regex")
_ANYTHING = ("", ".*")
_PRIORITY, _OF_FIXED, _OF_PATTERN, _OF_GROUP, _OF_COLOUR = 10, 10, 20, 3, 6
"""The priority that each node has, and what it has more of it by its kind and its limits."""
_ONLY, _NOT = 1, 2
"""The values of a limit: only to nodes of the same group or colour, or not to them."""
_EXACT, _START, _END, _TITLE = range(4)
"""The rules for inputs of one type: their names must be the same, begin or end so, or be titles."""
_MOST_STEPS = 100
"""The most reroutes in a row that are followed for a value's type."""
_LONGEST_NAME = 40
_LONGEST_PATTERN = 100
_MOST_REPEATS = 2
"""The most repetitions in a pattern; more could take long in a hostile file."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression, found somewhere in a text; or, if inverted, nowhere in it."""

    expression: str = ""
    inverted: bool = False

    def fits(self, text: str) -> bool:
        """Say if a text fits; every text fits no expression."""
        return not self.expression or matches(self.expression, text) != self.inverted


@dataclass(frozen=True, slots=True)
class Sender:
    """A value that goes everywhere, and the inputs that take it."""

    origin: NodeId
    origin_slot: int
    type: str
    title: Pattern
    input: Pattern
    priority: int
    nodes: frozenset[NodeId]
    """The nodes that it may reach."""
    name: str | None = None
    """The name of the input that sends it, if others of that node have the same type."""
    rule: int = _EXACT
    """The way in which that name counts."""
    sends_to_lists: bool = False
    """True if a text also goes to inputs that choose from a list."""

    def reaches(self, node: EditorNode, slot: Slot) -> bool:
        """Say if an open input takes the value."""
        shown = slot.label or slot.name
        return (
            node.id != self.origin
            and (slot.type == self.type or self._is_listed(slot))
            and node.id in self.nodes
            and self.title.fits(_title(node))
            and self.input.fits(shown)
            and (self.name is None or _agree(self.rule, self.name, shown, _title(node)))
        )

    def _is_listed(self, slot: Slot) -> bool:
        return self.sends_to_lists and (self.type, slot.type) == ("STRING", "COMBO")


def senders_of(canvas: Canvas, node: EditorNode) -> Iterator[Sender]:
    """Yield the values that a node sends."""
    settings = _settings(node)
    nodes, priority = _nodes(canvas, node, settings), _priority(node, settings)
    title, name = (_pattern(settings, key) for key in _PATTERNS[:2])
    if node.type_name == SEED_EVERYWHERE:
        name = name if name.expression else Pattern(_SEEDS)
        yield Sender(node.id, 0, "INT", title, name, priority, nodes)
        return
    found = [(slot, canvas.links.get(slot.link or "")) for slot in node.inputs]
    kinds = [_type_of(canvas, wire) for _, wire in found]
    for place, (slot, wire) in enumerate(found):
        kind = kinds[place]
        if wire is None or kind == ANY:
            continue
        is_prompt = node.type_name == _PROMPTS_EVERYWHERE
        several = kinds.count(kind) > 1 and not is_prompt
        rule = settings.get("repeated_type_rule")
        yield Sender(
            wire.origin,
            wire.origin_slot,
            kind,
            title,
            _prompt_pattern(settings, min(place, 1)) if is_prompt else name,
            priority,
            nodes,
            (slot.label or slot.name) if several else None,
            rule if isinstance(rule, int) else _EXACT,
            bool(settings.get("string_to_combo")),
        )


def _settings(node: EditorNode) -> Mapping[str, object]:
    """Return the limits of a node; before version 7 its patterns were the values of widgets."""
    given = node.properties.get(PROPERTIES)
    if is_object(given):
        return given
    if node.type_name != _BY_NAME:
        return node.properties
    values = node.values
    named: Mapping[str, object] = (
        values if isinstance(values, Mapping) else dict(zip(_PATTERNS, values, strict=False))
    )
    return {**node.properties, **named}


def _pattern(settings: Mapping[str, object], key: str) -> Pattern:
    given = settings.get(key)
    if not isinstance(given, str) or given in _ANYTHING:
        return Pattern()
    return Pattern(given, bool(settings.get(f"{key}_invert")))


def _prompt_pattern(settings: Mapping[str, object], place: int) -> Pattern:
    own = _pattern(settings, _OWN_PATTERNS[place])
    return own if own.expression else Pattern(_PROMPTS[place])


def _priority(node: EditorNode, settings: Mapping[str, object]) -> int:
    own = settings.get("priority")
    if isinstance(own, int) and own:
        return own
    fixed = node.type_name in (SEED_EVERYWHERE, _PROMPTS_EVERYWHERE)
    patterns = any(_pattern(settings, key).expression for key in _PATTERNS)
    return (
        _PRIORITY
        + _OF_FIXED * fixed
        + _OF_PATTERN * patterns
        + _OF_GROUP * (settings.get("group_restricted") in (_ONLY, _NOT))
        + _OF_COLOUR * (settings.get("color_restricted") in (_ONLY, _NOT))
    )


def _nodes(canvas: Canvas, node: EditorNode, settings: Mapping[str, object]) -> frozenset[NodeId]:
    """Return the nodes that a sender reaches by groups and colours; all if it has no limits."""
    every = left = frozenset(canvas.nodes)
    by_group = settings.get("group_restricted")
    if by_group in (_ONLY, _NOT):
        own = [box for box in canvas.boxes if box.holds(node)]
        near = _inside(canvas, lambda other: any(box.holds(other) for box in own))
        left &= near if by_group == _ONLY else every - near
    by_colour = settings.get("color_restricted")
    if by_colour in (_ONLY, _NOT):
        alike = _inside(canvas, lambda other: other.colour == node.colour)
        left &= alike if by_colour == _ONLY else every - alike
    title = _pattern(settings, "group_regex")
    if title.expression:
        fitting = [box for box in canvas.boxes if title.fits(box.title)]
        left &= _inside(canvas, lambda other: any(box.holds(other) for box in fitting))
    return left


def _inside(canvas: Canvas, fits: Callable[[EditorNode], bool]) -> frozenset[NodeId]:
    return frozenset(key for key, node in canvas.nodes.items() if fits(node))


def _title(node: EditorNode) -> str:
    """Return the name of a node that patterns see."""
    name = node.properties.get(_SEARCH_NAME)
    return node.title or (name if isinstance(name, str) and name else node.type_name)


def _agree(rule: int, name: str, shown: str, title: str) -> bool:
    """Say if the names of an input that sends and of one that takes fit by a rule."""
    if rule == _TITLE:
        return name == title
    if rule == _START:
        return name.startswith(shown) or shown.startswith(name)
    if rule == _END:
        return name.endswith(shown) or shown.endswith(name)
    return name == shown


def _type_of(canvas: Canvas, wire: Wire | None) -> str:
    """Return the type that a link carries, past reroutes; `*` if it is not known."""
    for _ in range(_MOST_STEPS):
        if wire and wire.origin == INPUT_SIDE:
            own = canvas.inputs
            return own[wire.origin_slot].type if 0 <= wire.origin_slot < len(own) else ANY
        origin = canvas.nodes.get(wire.origin) if wire else None
        if wire is None or origin is None:
            return ANY
        outputs = origin.outputs
        kind = outputs[wire.origin_slot].type if 0 <= wire.origin_slot < len(outputs) else ANY
        if kind != ANY or origin.type_name not in REROUTES or not origin.inputs:
            return kind
        wire = canvas.links.get(origin.inputs[0].link or "")
    return ANY


@lru_cache(maxsize=10_000)
def matches(pattern: str, text: str) -> bool:
    """Say if a pattern is somewhere in a text; one that could take long, or is broken, is not."""
    repeats = sum(pattern.count(mark) for mark in "*+{")
    if len(pattern) > _LONGEST_PATTERN or repeats > _MOST_REPEATS or re.search(r"\)[*+{]", pattern):
        return False
    try:
        return re.search(pattern, text[:_LONGEST_NAME]) is not None
    except re.error:
        return False
