"""Errors of packs that were written for ComfyUI."""

from nodegraph.errors import NodeGraphError
from nodegraph.validation.problems import CustomValidationError


class NoSuchHostModuleError(ModuleNotFoundError):
    """A pack imports a part of ComfyUI that has no stand-in."""

    def __init__(self, name: str) -> None:
        message = (
            f"No module named {name!r}: only the ComfyUI modules that most packs use are available"
            " here. A pack that uses ComfyUI's own model code can not run."
        )
        super().__init__(message, name=name)


class ChangesTorchError(ImportError):
    """A pack replaces parts of torch at its import, which would change other nodes' results."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(f"it replaces {', '.join(names)}, which all other nodes use, too")


class NotOfferedError(NodeGraphError):
    """A pack uses a part of ComfyUI that has no counterpart."""

    code = "not_offered_to_packs"

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(f"the pack uses {what}, which is not available to packs here.", hint=hint)


class NotOfferedPartError(NotOfferedError, AttributeError):
    """A pack reads a part of a value that has no counterpart; `hasattr` finds it missing."""


class InputsRefusedError(CustomValidationError):
    """A pack's own validation refused a node's inputs."""

    def __init__(self, type_name: str, reason: str) -> None:
        super().__init__(f"{type_name} refuses these inputs: {reason}")


class TooSlowError(NodeGraphError):
    """A pack's own check of a node takes too long."""

    code = "pack_too_slow"

    def __init__(self, type_name: str, what: str, seconds: float) -> None:
        message = f"{what} of {type_name} took more than {seconds:g} s."
        super().__init__(message, hint="This is the pack's own code; update or remove the pack.")
