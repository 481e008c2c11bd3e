"""What can be wrong with a model file, or with how a workflow uses one."""

from collections.abc import Sequence
from pathlib import Path

from nodegraph.errors import NodeGraphError


class UnknownFamilyError(NodeGraphError):
    """A checkpoint belongs to no model family that is known here."""

    code = "unknown_family"

    def __init__(self, path: Path, seen: str, known: Sequence[str]) -> None:
        super().__init__(
            f"{path.name!r} is of no known model family. Its weights: {seen}.",
            hint=f"Known families: {', '.join(known)}.",
        )


class BadConfigError(NodeGraphError):
    """A configuration file beside a checkpoint says something that has no meaning."""

    code = "bad_config"

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"the configuration {path.name!r} can not be used: {what}.",
            hint="Use CheckpointLoaderSimple, which needs none.",
        )


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
