"""What can be wrong with how pictures, masks, latents and texts are combined; no torch."""

from collections.abc import Sequence

from nodegraph.errors import NodeGraphError, short_repr


class OutsideError(NodeGraphError):
    """A cut begins where the picture, mask or latent has already ended."""

    code = "outside"

    def __init__(self, what: str, corner: tuple[int, int], size: tuple[int, int]) -> None:
        super().__init__(
            f"the cut begins at x {corner[0]}, y {corner[1]}, outside the {what}"
            f" of {size[0]}x{size[1]}.",
            hint=f"x may be at most {size[0] - 1}, y at most {size[1] - 1}.",
        )


class EmptyBatchError(NodeGraphError):
    """A node gets a batch without a single picture, mask or latent in it."""

    code = "empty_batch"

    def __init__(self, what: str) -> None:
        super().__init__(f"the batch of {what} is empty.", hint="It needs at least one.")


class MixedSizesError(NodeGraphError):
    """Pictures of several sizes should become one batch."""

    code = "mixed_sizes"

    def __init__(self, what: str, sizes: Sequence[str]) -> None:
        super().__init__(
            f"{what} of different sizes can not become one batch: {', '.join(sizes[:4])}.",
            hint="Scale or crop them to one size first.",
        )


class ChannelError(NodeGraphError):
    """A picture lacks the channel that a node reads."""

    code = "missing_channel"

    def __init__(self, channel: str, channels: int) -> None:
        hint = "Join it with a mask first (JoinImageWithAlpha)." if channel == "alpha" else ""
        super().__init__(f"the picture has {channels} channels and no {channel}.", hint=hint)


class ThresholdOrderError(NodeGraphError):
    """Of two thresholds the lower is above the higher."""

    code = "threshold_order"

    def __init__(self, low: float, high: float) -> None:
        super().__init__(
            f"low_threshold {low:g} is above high_threshold {high:g}.",
            hint="Swap them, or make them equal.",
            input_name="low_threshold",
        )


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


class BadPatternError(NodeGraphError):
    """A regular expression makes no sense."""

    code = "bad_pattern"

    def __init__(self, pattern: str, reason: str) -> None:
        super().__init__(
            f"the regular expression {short_repr(pattern)} has no meaning: {reason}.",
            hint="A backslash before a special character makes it an ordinary one.",
        )


class SlowPatternError(NodeGraphError):
    """A regular expression takes far too long: it backtracks."""

    code = "slow_pattern"

    def __init__(self, pattern: str, seconds: float) -> None:
        super().__init__(
            f"the regular expression {short_repr(pattern)} takes more than {seconds:g} seconds.",
            hint="Nested repetitions such as (a+)+ are the usual reason.",
        )


class TooLongTextError(NodeGraphError):
    """A text would grow beyond all use."""

    code = "too_long_text"

    def __init__(self, length: int, most: int) -> None:
        super().__init__(
            f"the text would be {length:,} characters long.",
            hint=f"At most {most:,} characters work.",
        )
