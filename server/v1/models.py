"""What `/v1` takes and gives; the OpenAPI document is made of these."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from server.store.runs import Milestone, Run, State

_ABOUT = ("event", "run_id", "sequence", "time_ms")
"""What an event says of itself, which is its own here."""
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
    return [item for item in value.split(",") if item] if isinstance(value, str) else value


Natural = Annotated[int, Field(strict=True, ge=0, le=LARGEST_NUMBER), BeforeValidator(_digits)]
Limit = Annotated[int, Field(strict=True, ge=1, le=LARGEST_PAGE), BeforeValidator(_digits)]
States = Annotated[list[State], BeforeValidator(_items)]


class Strict(BaseModel):
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
    merge: Literal[False] = Field(
        False, description="Whether model calls may be merged with other runs'; never for now."
    )


class ListQuery(Strict):
    """Which runs."""

    status: States = Field(default=[], description="Only of these, with commas between.")
    client: str | None = Field(None, max_length=200, description="Only this client's.")
    limit: Limit = Field(50, description="How many at most.")
    cursor: Natural | None = Field(None, description="`next_cursor` of the page before.")


class EventsQuery(Strict):
    """Which events."""

    after: Natural = Field(0, description="Only those after the one with this id.")
    limit: Limit = Field(LARGEST_PAGE, description="How many at most, in a page.")


class SubmitHeaders(BaseModel):
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


class EventHeaders(BaseModel):
    """Where to go on."""

    last: Natural | None = Field(
        None, alias="Last-Event-ID", description="Only events after it; only for streams."
    )


class RunModel(BaseModel):
    """A run."""

    id: str
    status: State
    client: str
    priority: int
    position: int | None = Field(description="How many runs are before it; null if not queued.")
    attempts: int = Field(description="How often it was begun.")
    created_ms: int = Field(description="Milliseconds since 1970.")
    started_ms: int | None
    finished_ms: int | None
    error: dict[str, Any] | None = Field(description="What went wrong: code, message, hint, …")

    @classmethod
    def of(cls, run: Run, position: int | None = None) -> "RunModel":
        """A run as clients see it."""
        return cls(
            id=run.id,
            status=run.state,
            client=run.client,
            priority=run.priority,
            position=position,
            attempts=run.attempts,
            created_ms=run.created_ms,
            started_ms=run.started_ms,
            finished_ms=run.finished_ms,
            error=dict(run.error) if run.error else None,
        )


class RunPage(BaseModel):
    """Some runs, newest first."""

    runs: list[RunModel]
    next_cursor: str | None = Field(description="Give it as `cursor` for the following ones.")


class WorkflowModel(BaseModel):
    """What a run computes."""

    workflow: dict[str, Any] = Field(description="In API format.")
    targets: list[str]
    editor: dict[str, Any] | None = Field(description="As the editor saved it, if it was sent.")


class EventModel(BaseModel):
    """Something that happened to a run."""

    id: int = Field(description="Grows over all runs; `Last-Event-ID` and `after` take it.")
    run: str
    sequence: int = Field(description="Counts from 1 in each run.")
    name: str
    time_ms: int
    data: dict[str, Any]

    @classmethod
    def of(cls, event: Milestone) -> "EventModel":
        """An event as clients see it."""
        return cls(
            id=event.id,
            run=event.run,
            sequence=event.sequence,
            name=event.name,
            time_ms=event.time_ms,
            data={key: value for key, value in event.data.items() if key not in _ABOUT},
        )


class EventPage(BaseModel):
    """Some events of a run, in order."""

    events: list[EventModel]
    last_id: int = Field(description="Give it as `after` for the following ones.")


class OutputModel(BaseModel):
    """A file that a run made."""

    node: str
    kind: str = Field(description="`images`, `latents`, …")
    filename: str
    type: str = Field(description="`output`, or `temp` for what is only shown.")
    url: str = Field(description="Where to get it.")


class Outputs(BaseModel):
    """Everything that a run made so far."""

    outputs: list[OutputModel]
    values: dict[str, dict[str, list[Any]]] = Field(
        description="What else nodes showed, by node and kind."
    )


class Finding(BaseModel):
    """A problem, or a remark."""

    code: str
    message: str
    hint: str
    node_id: str | None
    input_name: str | None
    details: dict[str, Any]


class Validation(BaseModel):
    """What is wrong with a workflow."""

    valid: bool
    problems: list[Finding]
    warnings: list[Finding]


class Problem(BaseModel):
    """RFC 9457: what went wrong."""

    type: str = Field(description="`urn:nodegraph:` and the code.")
    title: str
    status: int
    detail: str
    code: str = Field(description="Says which error it is; never changes.")
    hint: str = Field(description="What would work.")
    problems: list[Finding] = Field(description="All that is wrong with a workflow.")


class NodeTypeSummary(BaseModel):
    """A node type, in short."""

    name: str
    display_name: str
    category: str
    output_node: bool


class NodeTypes(BaseModel):
    """Every node type there is."""

    node_types: list[NodeTypeSummary]


class InputModel(BaseModel):
    """An input of a node type."""

    name: str
    type: str
    required: bool
    default: Any
    choices: list[str] | None
    minimum: float | None
    maximum: float | None


class NodeOutputModel(BaseModel):
    """An output of a node type."""

    name: str
    type: str
    is_list: bool


class NodeTypeModel(NodeTypeSummary):
    """A node type."""

    description: str
    module: str
    version: str
    inputs: list[InputModel]
    outputs: list[NodeOutputModel]
    deprecated: bool
    experimental: bool


class ModelFolders(BaseModel):
    """The folders that models lie in."""

    folders: list[str]


class ModelNames(BaseModel):
    """The models of a folder."""

    folder: str
    names: list[str] = Field(description="As workflows name them.")
