"""Errors of forms and of the values that users enter."""

from nodegraph.errors import NodeGraphError


class FormError(NodeGraphError):
    """The form cannot be made or served."""

    code = "form"


class FieldError(NodeGraphError):
    """A user's value does not fit its field."""

    code = "bad_field"

    def __init__(self, label: str, message: str) -> None:
        super().__init__(f"{label}: {message}")
