"""What can be wrong with a model file, or with how a workflow uses one."""

from collections.abc import Sequence
from pathlib import Path

from nodegraph.errors import NodeGraphError


class MissingWeightsError(NodeGraphError):
    """A checkpoint lacks weights that its family has, or has them in another shape."""

    code = "missing_weights"

    def __init__(self, path: Path, part: str, wrong: Sequence[str]) -> None:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        super().__init__(
            f"{path.name!r} does not hold a complete {part}: {', '.join(wrong[:3])}{more}.",
            hint="The file may be damaged, or hold only a part of the model.",
        )


class NotAVaeError(NodeGraphError):
    """A file of the VAE folder holds none that is known here."""

    code = "not_a_vae"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} holds no VAE that is known here. Its weights: {seen}.",
            hint="VAEs for pictures with 4 or 16 latent channels are read.",
        )
