"""How families make one conditioning of what their text encoders say."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from nodes.families.family import TextStyle
from nodes.text.encoder import Encoded

Parts: TypeAlias = Mapping[str, Encoded]
"""What each text encoder gave, by its name."""


def single(parts: Parts) -> Encoded:
    """The only one's."""
    (encoded,) = parts.values()
    return encoded


STYLES: Mapping[TextStyle, Callable[[Parts], Encoded]] = {"single": single}
