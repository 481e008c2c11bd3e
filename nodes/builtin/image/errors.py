"""Errors of images that can not become one batch."""

from collections.abc import Sequence

from nodegraph.errors import NodeGraphError


class MixedSizesError(NodeGraphError):
    """Pictures of several sizes should become one batch."""

    code = "mixed_sizes"

    def __init__(self, what: str, sizes: Sequence[str]) -> None:
        super().__init__(
            f"{what} of different sizes can not become one batch: {', '.join(sizes[:4])}.",
            hint="Scale or crop them to one size first.",
        )
