"""What `/v1` gives."""

from typing import Any

from pydantic import Field

from server.store.runs import Milestone, Run, State
from server.v1.base import Model

_ABOUT = ("event", "run_id", "sequence", "time_ms")
"""What an event says of itself, which is its own here."""


class RunModel(Model):
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


class RunPage(Model):
    """Some runs, newest first."""

    runs: list[RunModel]
    next_cursor: str | None = Field(description="Give it as `cursor` for the following ones.")


class WorkflowModel(Model):
    """What a run computes."""

    workflow: dict[str, Any] = Field(description="In API format.")
    targets: list[str]
    editor: dict[str, Any] | None = Field(description="As the editor saved it, if it was sent.")


class EventModel(Model):
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


class EventPage(Model):
    """Some events of a run, in order."""

    events: list[EventModel]
    last_id: int = Field(description="Give it as `after` for the following ones.")


class OutputModel(Model):
    """A file that a run made."""

    node: str
    kind: str = Field(description="`images`, `latents`, …")
    filename: str
    type: str = Field(description="`output`, or `temp` for what is only shown.")
    url: str = Field(description="Where to get it.")


class Outputs(Model):
    """Everything that a run made so far."""

    outputs: list[OutputModel]
    values: dict[str, dict[str, list[Any]]] = Field(
        description="What else nodes showed, by node and kind."
    )


class Finding(Model):
    """A problem, or a remark."""

    code: str
    message: str
    hint: str
    node_id: str | None
    input_name: str | None
    details: dict[str, Any]


class Validation(Model):
    """What is wrong with a workflow."""

    valid: bool
    problems: list[Finding]
    warnings: list[Finding]


class Problem(Model):
    """RFC 9457: what went wrong."""

    type: str = Field(description="`urn:nodegraph:` and the code.")
    title: str
    status: int
    detail: str
    code: str = Field(description="Says which error it is; never changes.")
    hint: str = Field(description="What would work.")
    problems: list[Finding] = Field(description="All that is wrong with a workflow.")


class NodeTypeSummary(Model):
    """A node type, in short."""

    name: str
    display_name: str
    category: str
    output_node: bool


class NodeTypes(Model):
    """Every node type there is."""

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
    """The folders that models lie in."""

    folders: list[str]


class ModelNames(Model):
    """The models of a folder."""

    folder: str
    names: list[str] = Field(description="As workflows name them.")
