"""The models of requests of `/v1`: bodies, queries and headers."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from nodegraph.runtime.choices import Prefer
from server.api.v1.schema.models import Model
from server.store.runs import State

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
"""An example of a workflow; it needs no model."""


def _digits(value: object) -> object:
    """Return the number in a query parameter of plain digits; anything else unchanged."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value


def _items(value: object) -> object:
    """Return the list in a query parameter, which is separated by commas."""
    return value.split(",") if isinstance(value, str) else value


Natural = Annotated[int, Field(strict=True, ge=0, le=LARGEST_NUMBER), BeforeValidator(_digits)]
Limit = Annotated[int, Field(strict=True, ge=1, le=LARGEST_PAGE), BeforeValidator(_digits)]
States = Annotated[list[State], Field(min_length=1), BeforeValidator(_items)]


def _boolean(value: object) -> object:
    """Return a boolean; refuse 0, which Python takes for false."""
    if not isinstance(value, bool):
        message = "the value has to be false"
        raise ValueError(message)  # noqa: TRY004 - pydantic makes a ValidationError of it
    return value


No = Annotated[Literal[False], BeforeValidator(_boolean)]


class Strict(Model):
    """A model that refuses unknown names."""

    model_config = ConfigDict(extra="forbid")


class Placement(Strict):
    """The wanted part of a workflow, and where it runs."""

    targets: list[Id] | None = Field(
        None, description="The ids of the wanted nodes; all output nodes if left out."
    )
    prefer: Prefer | None = Field(
        None,
        description="Where it runs if both can: our own workers or a ComfyUI server; as the"
        " settings say if left out.",
    )


class RunFields(Placement):
    """A run's place in the queue, its id and its webhook."""

    id: UUID | None = Field(None, description="The id of the run; generated if left out.")
    client: str = Field("", max_length=200, description="The client; clients take turns.")
    priority: int = Field(
        0, strict=True, ge=-1000, le=1000, description="Higher priorities run earlier."
    )
    webhook: str = Field(
        "", max_length=2000, description="A URL that gets a message when the run is over."
    )


class WorkflowRequest(Placement):
    """A workflow."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"workflow": SMALL_WORKFLOW}]})

    workflow: dict[str, Any] | Annotated[str, Field(min_length=1)] = Field(
        description="In API format or the editor's; or an image that contains one, as base64."
    )


class RunRequest(WorkflowRequest, RunFields):
    """A workflow to run."""

    merge: No = Field(
        False, description="True to merge model calls with other runs; not supported yet."
    )


class ScoreRequest(RunFields):
    """A workflow to run, or the id of a run to ask for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"workflow": SMALL_WORKFLOW}]})

    workflow: dict[str, Any] | Annotated[str, Field(min_length=1)] | None = Field(
        None, description="In API format or the editor's; or the name of one that the server has."
    )
    values: dict[str, Any] = Field(
        default_factory=dict,
        description="Values of inputs, by `NODE.INPUT`; NODE is an id or a title.",
    )
    seed: int | None = Field(
        None,
        strict=True,
        ge=0,
        le=2**64 - 1,
        description="Sets all seeds that are no links.",
    )

    @model_validator(mode="after")
    def _check_parts(self) -> "ScoreRequest":
        if self.workflow is None and self.id is None:
            message = "a workflow to run or the id of a run is missing"
            raise ValueError(message)
        more = self.model_fields_set - {"id", "workflow"}
        if self.workflow is None and more:
            message = f"{', '.join(sorted(more))} has no workflow to go with"
            raise ValueError(message)
        return self


class ListQuery(Strict):
    """The filter of a list of runs."""

    status: States | None = Field(
        None, description="Only runs of these states, separated by commas."
    )
    client: str | None = Field(None, max_length=200, description="Only runs of this client.")
    limit: Limit = Field(50, description="The most runs to return.")
    cursor: Natural | None = Field(None, description="The `next_cursor` of the page before.")


class EventsQuery(Strict):
    """The filter of a list of events."""

    after: Natural = Field(0, description="Only events after the one with this id.")
    limit: Limit = Field(LARGEST_PAGE, description="The most events in a page.")
    previews: bool = Field(
        False, description="True for a stream with previews of unfinished images, as base64."
    )


class SubmitHeaders(Model):
    """The headers of a submitted workflow."""

    key: str | None = Field(
        None,
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern="^[!-~]+$",
        description="A request that is repeated with the same key gives the same run.",
    )


class GenerateHeaders(SubmitHeaders):
    """The headers of a workflow whose image is awaited."""

    prefer: str = Field(
        "",
        alias="Prefer",
        description="`wait=N`: reply after at most N seconds (60 if left out, 600 at most).",
    )


class ScoreHeaders(SubmitHeaders):
    """The headers of a request to `/score`."""

    prefer: str = Field(
        "",
        alias="Prefer",
        description="`wait=N`: reply after at most N seconds, if the server would wait longer.",
    )


class EventHeaders(Model):
    """The headers of a request for events."""

    last: Natural | None = Field(
        None, alias="Last-Event-ID", description="Only events after this id; for streams."
    )
