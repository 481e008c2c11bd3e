"""Errors of images that can not become one batch, or one file."""

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


class ChannelsError(NodeGraphError):
    """A file format can not hold images with so many channels."""

    code = "wrong_channels"

    def __init__(self, suffix: str, channels: int, possible: Sequence[int]) -> None:
        super().__init__(
            f"a {suffix.removeprefix('.').upper()} file can not have {channels} channels.",
            hint=f"Images with {' or '.join(map(str, possible))} channels work.",
        )
