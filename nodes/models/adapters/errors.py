"""What can be wrong with a model that steers another, or with how a workflow uses it."""

from pathlib import Path

from nodegraph.errors import NodeGraphError


class NoControlTypeError(NodeGraphError):
    """A ControlNet for several kinds of hint is not told which one it gets."""

    code = "no_control_type"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"the ControlNet {path.name!r} knows several kinds of hint, and is told none.",
            hint="Choose one with SetUnionControlNetType.",
        )


class NoVectorError(NodeGraphError):
    """A vision encoder makes no vector of a picture, and one is needed."""

    code = "no_vector"

    def __init__(self) -> None:
        super().__init__(
            "the vision encoder makes no vector of a picture: its file holds no head.",
            hint="Use CLIP's vision encoder that belongs to the model.",
        )


class StyleMismatchError(NodeGraphError):
    """A style model was made for the text encoder of another family."""

    code = "style_mismatch"

    def __init__(self, path: Path, found: int, expected: int) -> None:
        super().__init__(
            f"the tokens of {path.name!r} are {found} wide, the conditioning's {expected}.",
            hint="FLUX.1 Redux is for FLUX.1's prompts, PhotoMaker for SDXL's.",
        )


class AdapterMismatchError(NodeGraphError):
    """An IP-Adapter was made for another family."""

    code = "ip_adapter_mismatch"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"the IP-Adapter {path.name!r} does not fit the model.",
            hint="Use one that was made for the model's family: Stable Diffusion 1.5 or SDXL.",
        )
