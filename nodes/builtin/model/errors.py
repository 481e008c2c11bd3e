"""Errors of LoRAs and merges between models of different families."""

from collections.abc import Sequence
from pathlib import Path

from nodegraph.errors import NodeGraphError


class LoraMismatchError(NodeGraphError):
    """Not one key of a LoRA fits the model, or it was clearly made for another family."""

    code = "lora_mismatch"

    def __init__(self, name: str, family: str, looks_like: str | None, seen: Sequence[str]) -> None:
        what = f"looks like one for {looks_like}" if looks_like else "was made for something else"
        super().__init__(
            f"LoRA {name!r} fits neither the model nor the text encoder, which are {family}'s: "
            f"it {what}. Its keys: {', '.join(seen)}, …",
            hint=f"Use a LoRA for {family}, or a model of the family that this one was made for.",
        )


class MergeMismatchError(NodeGraphError):
    """Two models that are to be mixed have nothing in common."""

    code = "merge_mismatch"

    def __init__(self, first: Path, second: Path) -> None:
        super().__init__(
            f"{first.name!r} and {second.name!r} can not be mixed: they are of different families.",
            hint="Merge two models of one family.",
        )


class NoDifferenceError(NodeGraphError):
    """A LoRA is to be made of a model that is no difference of two models."""

    code = "no_difference"

    def __init__(self, name: str, subtract: str) -> None:
        super().__init__(
            f"{name} is not the difference of two models, so no LoRA can be made of it.",
            hint=f"Link the result of {subtract}.",
        )


class UnreadMaskError(NodeGraphError):
    """A mask is given to a model patch that reads none."""

    code = "unread_mask"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"the model patch {path.name!r} is given a mask, and none is read here.",
            hint="Leave `mask` open. To change a part of an image, use SetLatentNoiseMask, or with"
            " Fun Union 2 for Z-Image the node ZImageFunControlnet.",
        )
