"""A route of `/v1` with all that its OpenAPI entry needs; one list serves both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from server.security import Handler
from server.v1.paths import PATHS

JSON = "application/json"
IMAGES = ("image/png", "image/webp", "image/jpeg")
"""Pictures that may be sent in place of JSON, because they carry a workflow."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What comes with one status."""

    description: str
    model: type[BaseModel] | None = None
    media: Sequence[str] = ()
    """Further content types, of what is no JSON."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path. Its summary and description are the handler's docstring."""

    handler: Handler
    replies: Mapping[int, Reply]
    """What comes if all went well; everything else comes as a problem."""
    takes: type[BaseModel] | None = None
    pictures: bool = False
    """Whether a picture may be sent instead."""
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None

    @property
    def method(self) -> str:
        """The HTTP method."""
        return PATHS[self.handler.__name__][0]

    @property
    def path(self) -> str:
        """The path, with the names of its parameters in braces."""
        return PATHS[self.handler.__name__][1]

    @property
    def name(self) -> str:
        """The name that generated clients give it."""
        words = self.handler.__name__.split("_")
        return words[0] + "".join(word.title() for word in words[1:])
