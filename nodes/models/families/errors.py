"""Errors of checkpoints, their configurations and text encoders that match no model family."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from nodegraph.errors import NodeGraphError

UnknownTypeCode: TypeAlias = Literal["unknown_text_type", "unknown_control_type"]
TextEncoderCode: TypeAlias = Literal["wrong_text_encoder", "repeated_text_encoder"]


class UnknownFamilyError(NodeGraphError):
    """A checkpoint belongs to no model family that is known here."""

    code = "unknown_family"

    def __init__(self, path: Path, seen: str, known: Sequence[str]) -> None:
        super().__init__(
            f"{path.name!r} is of no known model family. Its weights: {seen}.",
            hint=f"Known families: {', '.join(known)}.",
        )


class BadConfigError(NodeGraphError):
    """A YAML configuration beside a checkpoint can not be understood."""

    code = "bad_config"

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"the configuration {path.name!r} can not be used: {what}.",
            hint="Use CheckpointLoaderSimple, which needs none.",
        )


class UnknownTypeError(NodeGraphError):
    """A workflow asks for a type of text encoder or of control image that there is not."""

    def __init__(self, *, code: UnknownTypeCode, message: str, known: Sequence[str]) -> None:
        hint = f"Known types: {', '.join(known)}." if known else "There is one type only."
        super().__init__(message, hint=hint)
        self.code = code


class TextEncoderError(NodeGraphError):
    """A file holds a text encoder that its loader does not use, or that another file holds."""

    def __init__(
        self, *, code: TextEncoderCode, path: Path, found: str, reason: str, hint: str
    ) -> None:
        super().__init__(f"{path.name!r} holds {found}, {reason}.", hint=hint)
        self.code = code
