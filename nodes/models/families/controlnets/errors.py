"""What can be wrong with a model that steers another, or with how a workflow uses it."""

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
