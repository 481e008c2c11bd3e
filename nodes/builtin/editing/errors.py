"""Errors of crops, channels and thresholds that an image or mask does not allow."""

from nodegraph.errors import NodeGraphError


class OutsideError(NodeGraphError):
    """A cut begins where the image, mask or latent has already ended."""

    code = "outside"

    def __init__(self, what: str, corner: tuple[int, int], size: tuple[int, int]) -> None:
        super().__init__(
            f"the cut begins at x {corner[0]}, y {corner[1]}, outside the {what}"
            f" of {size[0]}x{size[1]}.",
            hint=f"x may be at most {size[0] - 1}, y at most {size[1] - 1}.",
        )


class ChannelError(NodeGraphError):
    """An image lacks the channel that a node reads."""

    code = "missing_channel"

    def __init__(self, channel: str, channels: int) -> None:
        hint = "Join it with a mask first (JoinImageWithAlpha)." if channel == "alpha" else ""
        super().__init__(f"the image has {channels} channels and no {channel}.", hint=hint)


class ThresholdOrderError(NodeGraphError):
    """Of two thresholds the lower is above the higher."""

    code = "threshold_order"

    def __init__(self, low: float, high: float) -> None:
        super().__init__(
            f"low_threshold {low:g} is above high_threshold {high:g}.",
            hint="Swap them, or make them equal.",
            input_name="low_threshold",
        )
