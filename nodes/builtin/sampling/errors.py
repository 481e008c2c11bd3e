"""Errors of a batch of prompts whose guiders are of several models."""

from nodegraph.errors import NodeGraphError


class MixedModelsError(NodeGraphError):
    """A batch is put together from guiders of several models."""

    code = "mixed_models"

    def __init__(self) -> None:
        super().__init__(
            "the batch so far is of another model.",
            hint="Link the same model to every node of a batch.",
        )
