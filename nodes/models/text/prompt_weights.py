r"""The weights in a prompt: `(word)` is 1.1 times as strong, `(word:1.3)` exactly 1.3 times.

The syntax is ComfyUI's. Groups nest: each pair multiplies by 1.1, and a number replaces the
weight outside. `\(` and `\)` are plain parentheses. A surplus `)` makes the next `(` plain text,
and a group that never closes is plain text as well.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

EMPHASIS = 1.1
DEEPEST = 100
"""The depth from which parentheses are text: nobody means 1.1 to the power of 100."""
_PARENTHESIS = re.compile(r"[()]")
_OPEN, _CLOSE = "\0\2", "\0\1"  # stand for \( and \) while the others are parsed


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text with one weight."""

    text: str
    weight: float


def parse(prompt: str) -> list[Segment]:
    """Split a prompt into its segments, in order; empty groups vanish."""
    hidden = prompt.replace(r"\)", _CLOSE).replace(r"\(", _OPEN)
    found: list[Segment] = []
    waiting = [(Segment(piece, 1.0), 0) for piece in reversed(list(_split_groups(hidden)))]
    while waiting:
        piece, depth = waiting.pop()
        if depth < DEEPEST and piece.text.startswith("(") and piece.text.endswith(")"):
            group = _unwrap(piece)
            inner = [(Segment(text, group.weight), depth + 1) for text in _split_groups(group.text)]
            waiting.extend(reversed(inner))
        else:
            text = piece.text.replace(_CLOSE, ")").replace(_OPEN, "(")
            found.append(Segment(text, piece.weight))
    return found


def _unwrap(group: Segment) -> Segment:
    """Return the text inside a pair of parentheses, with its weight."""
    text = group.text[1:-1]
    before, colon, number = text.rpartition(":")
    if before and colon:
        try:
            return Segment(before, float(number))
        except ValueError:
            pass  # a colon in the text
    return Segment(text, group.weight * EMPHASIS)


def _split_groups(text: str) -> Iterator[str]:
    """Yield the outermost groups, with their parentheses, and the texts between them.

    All that follows a parenthesis that never closes is one piece.
    """
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
