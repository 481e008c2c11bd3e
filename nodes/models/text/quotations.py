"""Texts between quotation marks, which some models write as they are, letter by letter.

Meituan LongCat Team 2025, "LongCat-Image Technical Report" (arXiv:2512.07584): tokens of single
letters tell a model the spelling.
"""

import re
from collections.abc import Iterator

_APOSTROPHE, _STAND_IN = "'", "\ue000"
_WORD = re.compile(r"[a-zA-Z]+'[a-zA-Z]+")
"""A word with an apostrophe in it, which is no quotation mark."""
_QUOTATION = re.compile(
    "'[^']*?'" + '|"[^"]*?"' + "|\u2018[^\u2018\u2019]*?\u2019" + "|\u201c[^\u201c\u201d]*?\u201d"
)
"""A text between marks of one kind, with the marks."""


def quoted_pieces(text: str) -> Iterator[str]:
    """Yield the pieces of a text that become tokens each by itself.

    They are the letters of quotations, their marks included, and what lies between quotations.

    Args:
        text: any.
    """
    hidden = _WORD.sub(lambda word: word[0].replace(_APOSTROPHE, _STAND_IN), text)
    start = 0
    for match in _QUOTATION.finditer(hidden):
        if match.start() > start:
            yield text[start : match.start()]
        yield from text[match.start() : match.end()]
        start = match.end()
    if start < len(text):
        yield text[start:]
