"""Errors of encoders and embeddings that an adapter can not work with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from nodegraph.errors import NodeGraphError

NoVectorCode: TypeAlias = Literal["no_vector", "no_box_text"]

_ENCODERS: Mapping[NoVectorCode, tuple[str, str]] = {
    "no_vector": (
        "the vision encoder makes no vector of an image: its file holds no head.",
        "Use CLIP's vision encoder that belongs to the model.",
    ),
    "no_box_text": (
        "the text encoder makes no single vector of a text, which a box needs.",
        "Use the CLIP of the Stable Diffusion model that draws.",
    ),
}
"""Each code: what is wrong, and what would work."""


class NoVectorError(NodeGraphError):
    """An encoder makes no single vector of an image or a text, and one is needed."""

    def __init__(self, *, code: NoVectorCode) -> None:
        message, hint = _ENCODERS[code]
        super().__init__(message, hint=hint)
        self.code = code


class StyleMismatchError(NodeGraphError):
    """A style model or a PhotoMaker was made for the text encoders of another family."""

    code = "style_mismatch"

    def __init__(self, path: Path, found: int, expected: int) -> None:
        super().__init__(
            f"the tokens of {path.name!r} are {found} wide, the conditioning's {expected}.",
            hint="FLUX.1 Redux is for FLUX.1's prompts, PhotoMaker for SDXL's.",
        )
