"""What can be wrong with a model file, or with how a workflow uses one."""

from nodegraph.errors import NodeGraphError


class AttentionUnavailableError(NodeGraphError):
    """The settings ask for attention kernels of a package that is not installed."""

    code = "attention_unavailable"

    def __init__(self, package: str) -> None:
        super().__init__(
            f"attention is to be computed by the package {package!r}, which is not installed.",
            hint=f"pip install {package}; or use --attention sdpa, which is always there.",
        )


class WrongConditioningError(NodeGraphError):
    """A conditioning was made by the text encoder of another family."""

    code = "wrong_conditioning"

    def __init__(self, what: str, found: int, expected: int) -> None:
        said = f"is {found} wide" if found else "is lacking"
        super().__init__(
            f"the conditioning's {what} {said}, this model's is {expected} wide.",
            hint="Encode the prompt with the CLIP that belongs to the model.",
        )
