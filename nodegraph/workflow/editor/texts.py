"""Texts as the editor sends them: prompts without comments and choices, file names with values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nodegraph.graph.graph import Link, Node

_INPUT = "filename_prefix"
_TOKEN = re.compile(r"%([^%]+)%")
_UNSAFE = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')
_COMMENT = re.compile(r"/\*|//")
_MARKS = re.compile(r"\\.|[{}|]", re.DOTALL)


def plain_prompt(text: str) -> str:
    r"""Remove the comments of a text, and replace every `{one|other}` by its first choice.

    The editor chooses at random; here a workflow gives the same image each time.
    `\{`, `\}` and `\|` are these characters; a backslash before another stays.
    """
    if "/" in text:
        text = _without_comments(text)
    return _first_choices(text) if "{" in text or "\\" in text else text


def _without_comments(text: str) -> str:
    parts: list[str] = []
    at, last = 0, text.rfind("*/")
    for found in _COMMENT.finditer(text):
        begin = found.start()
        if begin < at:
            continue
        if found[0] == "//":
            end = text.find("\n", begin)
            end = len(text) if end < 0 else end
        elif begin + 2 <= last:
            end = text.index("*/", begin + 2) + 2
        else:
            continue
        parts.append(text[at:begin])
        at = end
    return "".join((*parts, text[at:]))


@dataclass(slots=True)
class _Level:
    """The text since a `{`; a brace that is never closed reaches to the end."""

    parts: list[str] = field(default_factory=list[str])
    first: str | None = None
    """The first choice, once a `|` has ended it."""


def _first_choices(text: str) -> str:
    levels = [_Level()]
    at = 0
    for found in _MARKS.finditer(text):
        levels[-1].parts.append(text[at : found.start()])
        at = found.end()
        mark = found[0]
        if mark == "{":
            levels.append(_Level())
        elif mark == "}" and len(levels) > 1:
            _close(levels)
        elif mark == "|" and len(levels) > 1:
            level = levels[-1]
            level.first = "".join(level.parts) if level.first is None else level.first
        else:
            levels[-1].parts.append(mark)
    levels[-1].parts.append(text[at:])
    while len(levels) > 1:
        _close(levels)
    return _unescape("".join(levels[0].parts))


def _close(levels: list[_Level]) -> None:
    """Put the first choice of the innermost brace into the text around it."""
    level = levels.pop()
    chosen = "".join(level.parts) if level.first is None else level.first
    levels[-1].parts.append(_unescape(chosen))


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return text.replace(r"\{", "{").replace(r"\}", "}").replace(r"\|", "|")


def with_values(node: Node, named: Mapping[str, Node]) -> Node:
    """Return the node with other nodes' values filled into its file name's prefix.

    Args:
        node: the node.
        named: the nodes by the names that prefixes use.
    """
    prefix = node.inputs.get(_INPUT)
    if not isinstance(prefix, str) or prefix.count("%") < 2:
        return node

    def value(token: re.Match[str]) -> str:
        name, _, widget = token[1].partition(".")
        source = named.get(name)
        found = source.inputs.get(widget) if source else None
        if found is None or isinstance(found, Link):
            return token[0]
        return _UNSAFE.sub("_", str(found))

    return replace(node, inputs={**node.inputs, _INPUT: _TOKEN.sub(value, prefix)})
