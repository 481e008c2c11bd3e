"""What can be wrong with models that read pictures, or with how a workflow uses them."""

from pathlib import Path

from nodegraph.errors import NodeGraphError


class NotAVisionEncoderError(NodeGraphError):
    """A file of the vision encoders' folder holds none that is known here."""

    code = "not_a_vision_encoder"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} holds no vision encoder that is known here. Its weights: {seen}.",
            hint="CLIP's and SigLIP's are read, in transformers' layout and in OpenCLIP's.",
        )


class NoVectorError(NodeGraphError):
    """A vision encoder makes no vector of a picture, and one is needed."""

    code = "no_vector"

    def __init__(self) -> None:
        super().__init__(
            "the vision encoder makes no vector of a picture: its file holds no head.",
            hint="Use CLIP's vision encoder that belongs to the model.",
        )


class NoPictureModelError(NodeGraphError):
    """A condition shows pictures to a model that reads texts only."""

    code = "no_picture_model"

    def __init__(self) -> None:
        super().__init__(
            "the conditioning shows pictures, and this model reads texts only.",
            hint="unCLIPConditioning is for SDXL and for unCLIP checkpoints.",
        )


class SeenWidthError(NodeGraphError):
    """Pictures were seen by another vision encoder than a model reads."""

    code = "seen_width"

    def __init__(self, found: int, expected: int) -> None:
        super().__init__(
            f"the vision encoder says {found} numbers of a picture, and {expected} are read here.",
            hint="Use the vision encoder that the model was made with: ViT-L says 768, ViT-H 1024,"
            " bigG 1280.",
        )
