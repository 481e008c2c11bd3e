"""Errors of regular expressions and of texts that grow too long."""

from nodegraph.errors import NodeGraphError, short_repr


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
