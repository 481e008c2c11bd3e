"""What can be wrong with how pictures, masks, latents and texts are combined; no torch."""

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
    """A node should work along the time of latents that have none."""

    code = "no_time_axis"

    def __init__(self) -> None:
        super().__init__(
            "these are latents of pictures and have no time.", hint="'x' and 'y' work."
        )


class WrongLatentError(NodeGraphError):
    """A latent does not fit the VAE that should decode it."""

    code = "wrong_latent"

    def __init__(self, found: int, expected: int) -> None:
        super().__init__(
            f"the latent has {found} channels, this VAE's have {expected}.",
            hint="Use the VAE of the model that made the latent.",
        )
