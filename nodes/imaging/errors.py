"""Errors of image and latent files, of sizes, and of empty batches."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from nodegraph.errors import NodeGraphError, short_repr

SizeLimitCode: TypeAlias = Literal[
    "image_too_large", "too_small_picture", "too_narrow_picture", "too_large_latent"
]
InputFileCode: TypeAlias = Literal["not_an_image", "damaged_image", "not_a_latent"]

_INPUT_FILES: Mapping[InputFileCode, tuple[str, str]] = {
    "not_an_image": (
        "can not be loaded as an image",
        "PNG, JPEG, WebP, AVIF, GIF, BMP, TIFF and PPM files work.",
    ),
    "damaged_image": (
        "is damaged",
        "Copy it again, or save it anew from a program that can open it.",
    ),
    "not_a_latent": (
        "can not be loaded as a latent",
        "SaveLatent writes .latent files that can.",
    ),
}
"""Each code: the problem, and what would work."""


class EmptyBatchError(NodeGraphError):
    """A node gets a batch without a single image, mask or latent in it."""

    code = "empty_batch"

    def __init__(self, what: str) -> None:
        super().__init__(f"the batch of {what} is empty.", hint="It needs at least one.")


class InputFileError(NodeGraphError):
    """A file can not be read as the image or latent that a workflow takes it for."""

    def __init__(self, path: Path, reason: str, *, code: InputFileCode) -> None:
        problem, hint = _INPUT_FILES[code]
        super().__init__(f"{path.name!r} {problem}: {reason}.", hint=hint)
        self.code = code


class SizeLimitError(NodeGraphError):
    """An image or a latent is larger or smaller than what can be worked with."""

    def __init__(self, *, code: SizeLimitCode, problem: str, hint: str) -> None:
        super().__init__(f"{problem}.", hint=hint)
        self.code = code


class BadCurveError(NodeGraphError):
    """A value is no curve."""

    code = "bad_curve"

    def __init__(self, value: object) -> None:
        super().__init__(
            f"{short_repr(value)} is no curve.",
            hint='It is {"points": [[x, y], …], "interpolation": "monotone_cubic"}, with two points'
            ' or more from left to right; "linear" is the other interpolation.',
        )


class BadBoxError(NodeGraphError):
    """A value is no rectangle."""

    code = "bad_box"

    def __init__(self, value: object, hint: str = "") -> None:
        default = "A box has x, y, width and height in pixels, or bbox [top, left, bottom, right]."
        super().__init__(f"{short_repr(value)} can not be read as boxes.", hint=hint or default)
