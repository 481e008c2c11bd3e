"""Errors of encoders and embeddings that an adapter can not work with."""

from pathlib import Path

from nodegraph.errors import NodeGraphError


class NoVectorError(NodeGraphError):
    """A vision encoder makes no vector of a picture, and one is needed."""

    code = "no_vector"

    def __init__(self) -> None:
        super().__init__(
            "the vision encoder makes no vector of a picture: its file holds no head.",
            hint="Use CLIP's vision encoder that belongs to the model.",
        )


class StyleMismatchError(NodeGraphError):
    """A style model or a PhotoMaker was made for the text encoders of another family."""

    code = "style_mismatch"

    def __init__(self, path: Path, found: int, expected: int) -> None:
        super().__init__(
            f"the tokens of {path.name!r} are {found} wide, the conditioning's {expected}.",
            hint="FLUX.1 Redux is for FLUX.1's prompts, PhotoMaker for SDXL's.",
        )
