"""What can be wrong with a model that steers another, or with how a workflow uses it."""

from collections.abc import Sequence
from pathlib import Path

from nodegraph.errors import NodeGraphError


class NotAControlNetError(NodeGraphError):
    """A file of the ControlNet folder holds none that is known here."""

    code = "not_a_controlnet"

    def __init__(self, path: Path, seen: Sequence[str]) -> None:
        super().__init__(
            f"{path.name!r} holds no ControlNet that is known here. Its weights: "
            f"{', '.join(seen)}, …",
            hint="ControlNets for U-Nets are read, in the original layout and in diffusers'.",
        )


class DifferenceControlNetError(NodeGraphError):
    """A ControlNet's file holds the difference to a model's weights, and no model is given."""

    code = "difference_controlnet"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path.name!r} holds the difference between a ControlNet and a model.",
            hint="Load it with DiffControlNetLoader, and give that the model.",
        )


class ControlMismatchError(NodeGraphError):
    """A ControlNet was made for a model of another family."""

    code = "controlnet_mismatch"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"the ControlNet {path.name!r} does not fit the model.",
            hint="Use one that was made for the model's family.",
        )


class NoControlTypeError(NodeGraphError):
    """A ControlNet for several kinds of hint is not told which one it gets."""

    code = "no_control_type"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"the ControlNet {path.name!r} knows several kinds of hint, and is told none.",
            hint="Choose one with SetUnionControlNetType.",
        )


class UnknownControlTypeError(NodeGraphError):
    """A ControlNet is told of a kind of hint that it does not know."""

    code = "unknown_control_type"

    def __init__(self, path: Path, kind: str, known: Sequence[str]) -> None:
        knows = f"It knows {', '.join(known)}." if known else "It knows one kind only."
        super().__init__(f"the ControlNet {path.name!r} knows no hint {kind!r}.", hint=knows)
