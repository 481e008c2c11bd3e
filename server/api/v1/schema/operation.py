"""The description of an operation of `/v1`, for its route and its OpenAPI entry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from server.api.v1.schema.paths import PATHS
from server.web.security import Handler

JSON = "application/json"
IMAGES = ("image/png", "image/webp", "image/jpeg")
"""Media types of images that may be sent instead of JSON, because they contain a workflow."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply with one status."""

    description: str
    model: type[BaseModel] | None = None
    media: Sequence[str] = ()
    """Further content types, other than JSON."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation; its summary and description are the docstring of its handler."""

    handler: Handler
    replies: Mapping[int, Reply]
    """The replies to successful requests, by status; all errors are problems."""
    takes: type[BaseModel] | None = None
    pictures: bool = False
    """True if an image may be sent instead of JSON."""
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
        """The name of the operation in generated clients."""
        words = self.handler.__name__.split("_")
        return words[0] + "".join(word.title() for word in words[1:])
