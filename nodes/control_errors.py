"""What can be wrong with a model that steers another, or with how a workflow uses it."""

from collections.abc import Sequence
from pathlib import Path

from nodegraph.errors import NodeGraphError


class NotAControlNetError(NodeGraphError):
    """A file of the ControlNet folder holds none that is known here."""

    code = "not_a_controlnet"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} holds no ControlNet that is known here. Its weights: {seen}.",
            hint="ControlNets for Stable Diffusion 1, 2, XL and 3 and for FLUX.1 are read, and"
            " T2I-Adapters.",
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


class HintNeedsVaeError(NodeGraphError):
    """A ControlNet reads latents, and there is nothing to make some of the picture."""

    code = "hint_needs_vae"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"the ControlNet {path.name!r} reads latents, and no VAE is given to encode the"
            " picture.",
            hint="Use ControlNetApplyAdvanced, and connect the model's VAE to it.",
        )


class HintChannelsError(NodeGraphError):
    """A picture is encoded by a VAE of another family than the ControlNet's."""

    code = "hint_channels"

    def __init__(self, path: Path, found: int, expected: int) -> None:
        super().__init__(
            f"the ControlNet {path.name!r} reads latents of {expected} channels, those of the VAE"
            f" have {found}.",
            hint="Connect the VAE that belongs to the model.",
        )


class HintNeedsMaskError(NodeGraphError):
    """A ControlNet for inpainting is not told where."""

    code = "hint_needs_mask"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"the ControlNet {path.name!r} is made for inpainting, and no mask is given.",
            hint="Use ControlNetInpaintingAliMamaApply.",
        )


class NotGligenError(NodeGraphError):
    """A file of the GLIGEN folder holds none."""

    code = "not_gligen"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} is no GLIGEN model. Its weights: {seen}.",
            hint="GLIGEN models for boxes with a text are read.",
        )


class GligenMismatchError(NodeGraphError):
    """A GLIGEN model was made for another U-Net."""

    code = "gligen_mismatch"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"the GLIGEN model {path.name!r} does not fit the model.",
            hint="Use one that was made for the model's family.",
        )


class NoBoxTextError(NodeGraphError):
    """A text encoder makes no vector of the text for a box."""

    code = "no_box_text"

    def __init__(self) -> None:
        super().__init__(
            "the text encoder makes no single vector of a text, which a box needs.",
            hint="Use the CLIP of the Stable Diffusion model that draws.",
        )
