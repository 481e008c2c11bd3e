"""Errors of predictions that are no finite numbers."""

from nodegraph.errors import NodeGraphError


class NotFiniteError(NodeGraphError):
    """Numbers have become infinite, or none at all: what follows would be black."""

    code = "not_finite"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} has numbers that are infinite or none (NaN).",
            hint="Lower the guidance and LoRA strengths, use another sampler or scheduler; or the"
            " model's file is damaged.",
        )
