"""What can be wrong with a model that steers another, or with how a workflow uses it."""

from collections.abc import Sequence
from pathlib import Path

from nodegraph.errors import NodeGraphError


class DifferenceControlNetError(NodeGraphError):
    """A ControlNet's file holds the difference to a model's weights, and no model is given."""

    code = "difference_controlnet"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path.name!r} holds the difference between a ControlNet and a model.",
            hint="Load it with DiffControlNetLoader, and give that the model.",
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


class NoBoxTextError(NodeGraphError):
    """A text encoder makes no vector of the text for a box."""

    code = "no_box_text"

    def __init__(self) -> None:
        super().__init__(
            "the text encoder makes no single vector of a text, which a box needs.",
            hint="Use the CLIP of the Stable Diffusion model that draws.",
        )


class TriggerPlaceError(NodeGraphError):
    """The word that is to become a person stands too far back in the prompt."""

    code = "trigger_place"

    def __init__(self, trigger: str) -> None:
        super().__init__(
            f"{trigger!r} stands too far back in the prompt.",
            hint="The word before it has to be among the first 75 tokens.",
        )
