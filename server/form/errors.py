"""What can be wrong with a form, or with what somebody put into it."""

from nodegraph.errors import NodeGraphError


class FormError(NodeGraphError):
    """There is no form to show, or nowhere to show it."""

    code = "form"


class FieldError(NodeGraphError):
    """What somebody put into a field means nothing there."""

    code = "bad_field"

    def __init__(self, label: str, message: str) -> None:
        super().__init__(f"{label}: {message}")
