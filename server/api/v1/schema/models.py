"""The pydantic models of what `/v1` replies, which its OpenAPI document describes."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from server.store.runs import Milestone, Run, State

_ABOUT = ("event", "run_id", "sequence", "time_ms")
"""Keys of an event's data that are fields of `EventModel` or not needed."""


class Model(BaseModel):
    """A model whose validator is built at its first use, so that the server starts sooner."""

    model_config = ConfigDict(defer_build=True)


class RunModel(Model):
    """A run in the queue or the history."""

    id: str
    status: State
    client: str
    priority: int
    position: int | None = Field(
        description="The number of runs ahead of it; null if it is not queued."
    )
    attempts: int = Field(description="The number of times it was started.")
    created_ms: int = Field(description="Milliseconds since 1970.")
    started_ms: int | None
    finished_ms: int | None
    error: dict[str, Any] | None = Field(description="The error: code, message, hint, …")
    worker: str = Field(description="The worker that computes it or did; empty before.")
    servers: list[str] = Field(
        description="The ComfyUI servers that may run it; our own workers if empty."
    )
    why: str = Field(description="The reason; empty if there is no ComfyUI server.")

    @classmethod
    def from_run(cls, run: Run, position: int | None = None) -> "RunModel":
        """Return the model of a run."""
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
            worker=run.worker,
            servers=list(run.servers),
            why=run.why,
        )


class RunPage(Model):
    """A page of runs, newest first."""

    runs: list[RunModel]
    next_cursor: str | None = Field(
        description="The `cursor` of the next page; null on the last page."
    )


class WorkflowModel(Model):
    """The workflow of a run."""

    workflow: dict[str, Any] = Field(description="In API format.")
    targets: list[str]
    editor: dict[str, Any] | None = Field(description="The editor's format, if it was sent.")


class EventModel(Model):
    """An event of a run."""

    id: int = Field(description="Increases over all runs; for `Last-Event-ID` and `after`.")
    run: str
    sequence: int = Field(description="Counts from 1 in each run.")
    name: str
    time_ms: int
    data: dict[str, Any]

    @classmethod
    def from_milestone(cls, event: Milestone) -> "EventModel":
        """Return the model of an event."""
        return cls(
            id=event.id,
            run=event.run,
            sequence=event.sequence,
            name=event.name,
            time_ms=event.time_ms,
            data={key: value for key, value in event.data.items() if key not in _ABOUT},
        )


class EventPage(Model):
    """A page of events of a run, in order."""

    events: list[EventModel]
    last_id: int = Field(description="The `after` of the next page.")


class OutputModel(Model):
    """An output of a run that is a file."""

    node: str
    kind: str = Field(description="`images`, `latents`, …")
    filename: str
    type: str = Field(description="`output`, or `temp` for temporary files.")
    url: str = Field(description="The path of the file's content.")


class Outputs(Model):
    """All outputs of a run so far."""

    outputs: list[OutputModel]
    values: dict[str, dict[str, list[Any]]] = Field(
        description="Outputs that are not files, by node and kind."
    )


class ScoreOutput(Model):
    """A file that a run made, with its content."""

    node: str
    kind: str = Field(description="`images`, `latents`, …")
    filename: str
    media_type: str
    data: str = Field(description="The content of the file, as base64.")


class Score(Model):
    """A run and, once it is over, the files that it made."""

    id: str
    status: State
    outputs: list[ScoreOutput]


class Finding(Model):
    """A problem or a warning."""

    code: str
    message: str
    hint: str
    node_id: str | None
    input_name: str | None
    details: dict[str, Any]


class Validation(Model):
    """The result of checking a workflow."""

    valid: bool
    problems: list[Finding]
    warnings: list[Finding]
    servers: list[str] = Field(
        description="The ComfyUI servers that would run it; our own workers if empty."
    )
    why: str = Field(description="The reason; empty if there is no ComfyUI server.")


class Problem(Model):
    """An error, by RFC 9457."""

    type: str = Field(description="`urn:nodegraph:` followed by the code.")
    title: str
    status: int
    detail: str
    code: str = Field(description="The stable identifier of the error.")
    hint: str = Field(description="Advice on how to avoid the error.")
    problems: list[Finding] = Field(description="All problems of a workflow.")


class NodeTypeSummary(Model):
    """A node type, in short."""

    name: str
    display_name: str
    category: str
    output_node: bool
    servers: list[str] = Field(
        default_factory=list, description="The ComfyUI servers that alone have it; else empty."
    )


class NodeTypes(Model):
    """All node types."""

    node_types: list[NodeTypeSummary]


class InputModel(Model):
    """An input of a node type."""

    name: str
    type: str
    required: bool
    default: Any
    choices: list[str] | None
    minimum: float | None
    maximum: float | None
    branches: dict[str, list["InputModel"]] | None
    row: "RowModel | None"


class RowModel(Model):
    """A row of inputs that grows as they are used, named `row.key`."""

    keys: list[str]
    least: int
    item: InputModel


class NodeOutputModel(Model):
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


class ModelFolders(Model):
    """The model folders."""

    folders: list[str]


class ModelNames(Model):
    """The models of a folder."""

    folder: str
    names: list[str] = Field(description="The names that workflows use.")
