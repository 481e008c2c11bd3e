"""Errors of models that can not be saved."""

from typing import Literal, TypeAlias

from nodegraph.errors import NodeGraphError

UnsavableCode: TypeAlias = Literal["unsavable_vae", "wrong_part"]


class UnsavableError(NodeGraphError):
    """A part of a model has no place in the file that it is to be saved in."""

    def __init__(self, *, code: UnsavableCode, part: str, reason: str, hint: str) -> None:
        super().__init__(f"{part} can not be saved: {reason}.", hint=hint)
        self.code = code
