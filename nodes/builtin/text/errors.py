"""Errors of regular expressions and of texts that grow too long."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from nodegraph.errors import NodeGraphError, short_repr

RegexCode: TypeAlias = Literal["bad_pattern", "slow_pattern"]

_REGEX_HINTS: Mapping[RegexCode, str] = {
    "bad_pattern": "A backslash before a special character makes it an ordinary one.",
    "slow_pattern": "Nested repetitions such as (a+)+ are the usual reason.",
}


class RegexError(NodeGraphError):
    """A regular expression is not valid, or searching with it takes far too long."""

    def __init__(self, pattern: str, problem: str, *, code: RegexCode) -> None:
        message = f"the regular expression {short_repr(pattern)} {problem}."
        super().__init__(message, hint=_REGEX_HINTS[code])
        self.code = code


class TooLongTextError(NodeGraphError):
    """A text would grow beyond all use."""

    code = "too_long_text"

    def __init__(self, length: int, most: int) -> None:
        super().__init__(
            f"the text would be {length:,} characters long.",
            hint=f"At most {most:,} characters work.",
        )


class UnreadMediumError(NodeGraphError):
    """A language model is given a video or a sound, which none here reads."""

    code = "unread_medium"

    def __init__(self, medium: str) -> None:
        super().__init__(
            f"TextGenerate reads no {medium} here.",
            hint="Leave it out; images of a video can be given as `image`.",
        )
