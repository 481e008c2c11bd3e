"""What `/v1` takes and gives; the OpenAPI document is made of these."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.store.runs import Milestone, Run, State

Id = Annotated[str, Field(min_length=1, max_length=200)]


class Strict(BaseModel):
    """What clients send: a name that is not known is an error, not ignored."""

    model_config = ConfigDict(extra="forbid")


class RunRequest(Strict):
    """A workflow to run."""

    workflow: dict[str, Any] = Field(description="In API format, or as it is saved with images.")
    targets: list[Id] | None = Field(
        None, description="The nodes whose results are wanted; every output node if left out."
    )
    client: str = Field("", max_length=200, description="Whose it is: clients take turns.")
    priority: int = Field(0, ge=-1000, le=1000, description="Higher runs earlier.")
    webhook: str = Field("", max_length=2000, description="Is told when the run is over.")


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
            data=dict(event.data),
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
    url: str


class Outputs(BaseModel):
    """Everything that a run made so far."""

    outputs: list[OutputModel]


class ValidateRequest(Strict):
    """A workflow to check."""

    workflow: dict[str, Any]
    targets: list[Id] | None = None


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
    detail: str = ""
    code: str
    problems: list[Finding] = Field(default_factory=list[Finding])


class Health(BaseModel):
    """Whether the server lives."""

    status: Literal["ok"]
