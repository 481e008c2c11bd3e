"""Errors of sampling settings, and of seeds that do not match their batch."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from nodegraph.errors import NodeGraphError

BatchCountCode: TypeAlias = Literal["seed_count", "unmatched_batch"]

_BATCH_HINTS: Mapping[BatchCountCode, str] = {
    "seed_count": "Give the empty latent the batch size that the batch has.",
    "unmatched_batch": "Link guider and noise of the same node, or neither.",
}


class BadSettingError(NodeGraphError):
    """A setting has a value that makes no sense together with the others."""

    code = "bad_setting"

    def __init__(self, name: str, what: str, hint: str) -> None:
        super().__init__(f"{name} {what}.", hint=hint, input_name=name)


class BatchCountError(NodeGraphError):
    """Each image of a batch has a seed and a guidance of its own, and there are too many or few."""

    def __init__(self, problem: str, *, code: BatchCountCode) -> None:
        super().__init__(f"{problem}.", hint=_BATCH_HINTS[code])
        self.code = code
