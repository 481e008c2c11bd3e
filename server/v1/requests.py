"""What `/v1` takes: bodies, queries and headers, checked by being read into these."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue

from server.store.runs import State
from server.v1.base import Model

Id = Annotated[str, Field(min_length=1, max_length=200)]
LARGEST_PAGE = 1000
LARGEST_NUMBER = 2**62
SMALL_WORKFLOW: dict[str, JsonValue] = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}
"""An example that needs no model."""


def _digits(value: object) -> object:
    """What stands in a query is text; only plain digits are a number."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value


def _items(value: object) -> object:
    """A list as a query has it."""
    return value.split(",") if isinstance(value, str) else value


Natural = Annotated[int, Field(strict=True, ge=0, le=LARGEST_NUMBER), BeforeValidator(_digits)]
Limit = Annotated[int, Field(strict=True, ge=1, le=LARGEST_PAGE), BeforeValidator(_digits)]
States = Annotated[list[State], Field(min_length=1), BeforeValidator(_items)]


def _boolean(value: object) -> object:
    """Python takes 0 for false; JSON does not."""
    if not isinstance(value, bool):
        message = "it has to be false"
        raise ValueError(message)  # noqa: TRY004 - pydantic makes a ValidationError of it
    return value


No = Annotated[Literal[False], BeforeValidator(_boolean)]


class Strict(Model):
    """What clients send: a name that is not known is an error, not ignored."""

    model_config = ConfigDict(extra="forbid")


class WorkflowRequest(Strict):
    """A workflow."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"workflow": SMALL_WORKFLOW}]})

    workflow: dict[str, Any] | Annotated[str, Field(min_length=1)] = Field(
        description="In API format or the editor's; or a picture that carries one, as base64."
    )
    targets: list[Id] | None = Field(
        None, description="The nodes whose results are wanted; every output node if left out."
    )


class RunRequest(WorkflowRequest):
    """A workflow to run."""

    id: UUID | None = Field(None, description="The run's id; one is made up if left out.")
    client: str = Field("", max_length=200, description="Whose it is: clients take turns.")
    priority: int = Field(0, strict=True, ge=-1000, le=1000, description="Higher runs earlier.")
    webhook: str = Field(
        "", max_length=2000, description="The URL that is told when the run is over."
    )
    merge: No = Field(
        False, description="Whether model calls may be merged with other runs'; never for now."
    )


class ListQuery(Strict):
    """Which runs."""

    status: States | None = Field(None, description="Only of these, with commas between.")
    client: str | None = Field(None, max_length=200, description="Only this client's.")
    limit: Limit = Field(50, description="How many at most.")
    cursor: Natural | None = Field(None, description="`next_cursor` of the page before.")


class EventsQuery(Strict):
    """Which events."""

    after: Natural = Field(0, description="Only those after the one with this id.")
    limit: Limit = Field(LARGEST_PAGE, description="How many at most, in a page.")
    previews: bool = Field(
        False, description="Whether a stream tells of unfinished images too, as base64."
    )


class SubmitHeaders(Model):
    """What may be sent along with a workflow."""

    key: str | None = Field(
        None,
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern="^[!-~]+$",
        description="The same request with the same key is the same run.",
    )


class GenerateHeaders(SubmitHeaders):
    """The same, and how long to wait."""

    prefer: str = Field(
        "",
        alias="Prefer",
        description="`wait=N`: answer after N seconds at the latest (60 if left out, 600 at most).",
    )


class EventHeaders(Model):
    """Where to go on."""

    last: Natural | None = Field(
        None, alias="Last-Event-ID", description="Only events after it; only for streams."
    )
