"""Errors of latents that can not be combined."""

from collections.abc import Sequence

from nodegraph.errors import NodeGraphError


class LatentMismatchError(NodeGraphError):
    """Two latents can not be computed with each other."""

    code = "latent_mismatch"

    def __init__(self, first: Sequence[int], second: Sequence[int], why: str) -> None:
        super().__init__(
            f"latents of the shapes {list(first)} and {list(second)} do not fit: {why}.",
            hint="Use latents of one model family.",
        )


class NoTimeAxisError(NodeGraphError):
    """Latents of images are to be joined along time, which they do not have."""

    code = "no_time_axis"

    def __init__(self) -> None:
        super().__init__("these are latents of images and have no time.", hint="'x' and 'y' work.")
