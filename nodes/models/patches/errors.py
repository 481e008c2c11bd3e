"""What can be wrong with a model that steers another, or with how a workflow uses it."""

from pathlib import Path

from nodegraph.errors import NodeGraphError


class ControlMismatchError(NodeGraphError):
    """A ControlNet was made for a model of another family."""

    code = "controlnet_mismatch"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"the ControlNet {path.name!r} does not fit the model.",
            hint="Use one that was made for the model's family.",
        )


class GligenMismatchError(NodeGraphError):
    """A GLIGEN model was made for another U-Net."""

    code = "gligen_mismatch"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"the GLIGEN model {path.name!r} does not fit the model.",
            hint="Use one that was made for the model's family.",
        )


class UnavailableSchemeError(NodeGraphError):
    """A way to quantise needs something that this machine does not have."""

    code = "unavailable_scheme"

    def __init__(self, scheme: str, why: str) -> None:
        super().__init__(
            f"{scheme} can't be had here: {why}.",
            hint="int8_weight_only works everywhere.",
        )
