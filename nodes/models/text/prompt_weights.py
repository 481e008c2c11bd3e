r"""The weights in a prompt: `(word)` is 1.1 times as strong, `(word:1.3)` exactly 1.3 times.

The syntax is ComfyUI's. Groups nest: each pair multiplies by 1.1, and a number replaces what
stood outside. `\(` and `\)` are parentheses without meaning. A `)` too many makes the next `(`
plain text, and a group that never closes is text as well.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

EMPHASIS = 1.1
DEEPEST = 100
"""Parentheses further inside are text: nobody means 1.1 to the power of 100."""
_PARENTHESIS = re.compile(r"[()]")
_OPEN, _CLOSE = "\0\2", "\0\1"  # stand for \( and \) while the others are looked at


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text with one weight."""

    text: str
    weight: float


def parse(prompt: str) -> list[Segment]:
    """Split a prompt into its segments, in order; empty groups vanish."""
    hidden = prompt.replace(r"\)", _CLOSE).replace(r"\(", _OPEN)
    found: list[Segment] = []
    waiting = [(Segment(piece, 1.0), 0) for piece in reversed(list(_pieces(hidden)))]
    while waiting:
        piece, depth = waiting.pop()
        if depth < DEEPEST and piece.text.startswith("(") and piece.text.endswith(")"):
            group = _enter(piece)
            inner = [(Segment(text, group.weight), depth + 1) for text in _pieces(group.text)]
            waiting.extend(reversed(inner))
        else:
            shown = piece.text.replace(_CLOSE, ")").replace(_OPEN, "(")
            found.append(Segment(shown, piece.weight))
    return found


def _enter(group: Segment) -> Segment:
    """What is inside a pair of parentheses, and its weight."""
    text = group.text[1:-1]
    before, colon, number = text.rpartition(":")
    if before and colon:
        try:
            return Segment(before, float(number))
        except ValueError:
            pass  # a colon in the text
    return Segment(text, group.weight * EMPHASIS)


def _pieces(text: str) -> Iterator[str]:
    """Split at the outermost parentheses, which stay on; what follows an open one is one piece."""
    depth = start = 0
    for match in _PARENTHESIS.finditer(text):
        at = match.start()
        if match[0] == "(":
            if depth == 0 and at > start:
                yield text[start:at]
            if depth == 0:
                start = at
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                yield text[start : at + 1]
                start = at + 1
    if start < len(text):
        yield text[start:]
