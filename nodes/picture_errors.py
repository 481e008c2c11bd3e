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
