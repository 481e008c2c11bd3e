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
_ESCAPED = "{}|"


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


def _first_choices(text: str) -> str:
    found = _Chosen()
    at = 0
    for mark in _MARKS.finditer(text):
        found.add(text[at : mark.start()])
        found.read(mark[0])
        at = mark.end()
    found.add(text[at:])
    return "".join(found.parts)


@dataclass(slots=True)
class _Chosen:
    r"""The text that is chosen, as far as it has been read.

    The editor takes braces away from the inside out, and of each one's text a backslash before
    every `{`, `}` and `|`. So one deep inside may lose several; they are counted here at once, for
    the texts of nested braces would be read again and again.
    """

    parts: list[str] = field(default_factory=list[str])
    _depth: int = 0
    """The number of braces that are open."""
    _passed: int = 0
    """The depth of the outermost brace whose first choice has ended; 0 if there is none."""
    _slashes: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """The backslashes at the end: the depth of a brace around them that is still open, rising,
    and how many there are of it."""

    def add(self, text: str) -> None:
        """Add text without marks."""
        if text and not self._passed:
            self.parts.append(text)
            self._slashes.clear()

    def read(self, mark: str) -> None:
        """Read a brace, a bar, or a backslash with the character after it."""
        if mark == "{":
            self._depth += 1
        elif mark == "}" and self._depth:
            self._close()
        elif mark == "|" and self._depth:
            self._passed = self._passed or self._depth
        elif not self._passed:
            self._add_literal(mark)

    def _close(self) -> None:
        if self._passed == self._depth:
            self._passed = 0
        self._depth -= 1
        count = 0
        while self._slashes and self._slashes[-1][0] >= self._depth:
            count += self._slashes.pop()[1]
        if count:
            self._slashes.append((self._depth, count))

    def _add_literal(self, mark: str) -> None:
        """Add a mark that stands for itself."""
        for character in mark:
            if character == "\\":
                self._add_slash()
                continue
            if character in _ESCAPED:
                self._drop_slashes()
            self._slashes.clear()
            self.parts.append(character)

    def _add_slash(self) -> None:
        self.parts.append("\\")
        depth, count = self._slashes[-1] if self._slashes else (-1, 0)
        if depth == self._depth:
            self._slashes[-1] = (depth, count + 1)
        else:
            self._slashes.append((self._depth, 1))

    def _drop_slashes(self) -> None:
        """Drop a backslash for each brace around both it and the character that comes, and one."""
        level = self._depth
        while self._slashes and level >= 0:
            depth, count = self._slashes.pop()
            level = min(level, depth)
            dropped = min(count, level + 1)
            del self.parts[len(self.parts) - dropped :]
            level -= dropped


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
