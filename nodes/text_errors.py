"""What can be wrong with text encoders in files of their own, or with how they are put together."""

from collections.abc import Sequence
from pathlib import Path

from nodegraph.errors import NodeGraphError


class NotATextEncoderError(NodeGraphError):
    """A file of the text encoders' folder holds none that is known here."""

    code = "not_a_text_encoder"

    def __init__(self, path: Path, seen: Sequence[str]) -> None:
        super().__init__(
            f"{path.name!r} holds no text encoder that is known here. "
            f"Its weights: {', '.join(seen)}, …",
            hint="CLIP-L, CLIP-H, CLIP-G and T5-XXL are read.",
        )


class UnknownTextTypeError(NodeGraphError):
    """A loader is asked for the text encoders of a family that is not known here."""

    code = "unknown_text_type"

    def __init__(self, kind: str, known: Sequence[str]) -> None:
        super().__init__(
            f"there is no model family here whose text encoders are of type {kind!r}.",
            hint=f"Known types: {', '.join(known)}.",
        )


class WrongTextEncoderError(NodeGraphError):
    """A file holds a text encoder, but none that is wanted there."""

    code = "wrong_text_encoder"

    def __init__(self, path: Path, found: str, kind: str, wanted: Sequence[str]) -> None:
        super().__init__(
            f"{path.name!r} holds {found}, which type {kind!r} does not use here.",
            hint=f"It uses {', '.join(wanted)}.",
        )


class RepeatedTextEncoderError(NodeGraphError):
    """Two files hold the same text encoder."""

    code = "repeated_text_encoder"

    def __init__(self, path: Path, found: str, wanted: Sequence[str]) -> None:
        super().__init__(
            f"{path.name!r} holds {found}, and so does another file.",
            hint=f"Give each of {', '.join(wanted)} once.",
        )


class UnreadTextError(NodeGraphError):
    """A prompt has a text for a text encoder that the CLIP's family does not have."""

    code = "unread_text"

    def __init__(self, unread: Sequence[str], read: Sequence[str]) -> None:
        super().__init__(
            f"the prompt has texts for {', '.join(unread)}, but this CLIP's family has only "
            f"{', '.join(read)}.",
            hint="Use the node of the CLIP's own family, or CLIPTextEncode, which suits all.",
        )
