"""Errors of a batch of prompts whose guiders and noises do not belong together."""

from nodegraph.errors import NodeGraphError


class MixedModelsError(NodeGraphError):
    """A batch is put together from guiders of several models."""

    code = "mixed_models"

    def __init__(self) -> None:
        super().__init__(
            "the batch so far is of another model.",
            hint="Link the same model to every node of a batch.",
        )


class UnmatchedBatchError(NodeGraphError):
    """A batch so far has as many images by its guider as by its noise; here it hasn't."""

    code = "unmatched_batch"

    def __init__(self, guided: int, seeded: int) -> None:
        super().__init__(
            f"the guider is for {guided} images so far, the noise for {seeded}.",
            hint="Link guider and noise of the same node, or neither.",
        )
