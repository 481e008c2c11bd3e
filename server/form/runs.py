"""Runs a form's workflow on the server; each visitor is a client of their own."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nodegraph.client import AsyncClient, Output, Run, RunEvent
from nodegraph.errors import NodeGraphError
from nodegraph.graph.graph import Graph
from nodegraph.workflow.read import to_prompt
from server.form.fields import Field
from server.form.run_status import RunStatus

TRANSIENT_PAUSE = 0.1
"""Least seconds between two updates of the page that only show progress."""
_TRANSIENT = ("progress", "preview", "progress_text")
_UPLOADS = "form"
"""The subfolder of the server's input folder for uploaded images."""


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A file that a run made, with its settings."""

    path: Path
    settings: Mapping[str, str]
    workflow: Path
    """The file of the workflow that made it, in API format."""
    is_image: bool = True


@dataclass(frozen=True, slots=True)
class Update:
    """An update of the page."""

    status: RunStatus
    made: Sequence[ResultFile] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """A workflow with its fields, and the server that runs it."""

    graph: Graph
    fields: Sequence[Field]
    url: str
    token: str
    folder: Path
    """The folder for result files while the page is served."""
    titles: Mapping[str, str]
    _runs: dict[str, str] = field(default_factory=dict[str, str])
    """The id of the run that each visitor waits for."""

    async def run(self, visitor: str, given: Sequence[object]) -> AsyncGenerator[Update]:
        """Run the workflow with a visitor's values, and yield updates until it is over.

        Args:
            visitor: the visitor; visitors take turns.
            given: the value of each field.
        """
        status = RunStatus(self.titles)
        yield Update(status)
        try:
            async with self._client(visitor) as client:
                values = [
                    await _value(client, *one) for one in zip(self.fields, given, strict=True)
                ]
                graph = self._fill(values)
                run = await client.submit(graph)
                self._runs[visitor] = run.id
                async for _ in self._follow(client, run, status):
                    yield Update(status)
                ended = await client.get(run)
                made = await self._fetch(client, ended, graph, values)
        except NodeGraphError as error:
            status.fail(error.message, error.hint)
            yield Update(status)
            return
        self._runs.pop(visitor, None)
        status.end(ended)
        yield Update(status, made)

    async def cancel(self, visitor: str) -> None:
        """Stop the run that a visitor waits for, if any."""
        run = self._runs.pop(visitor, None)
        if run is not None:
            async with self._client(visitor) as client:
                await client.cancel(run)

    def _client(self, visitor: str) -> AsyncClient:
        return AsyncClient(self.url, token=self.token, client=f"form-{visitor}", patience=20)

    def _fill(self, values: Sequence[object]) -> Graph:
        nodes = dict(self.graph.nodes)
        for one, value in zip(self.fields, values, strict=True):
            node = nodes[one.node]
            nodes[one.node] = replace(node, inputs={**node.inputs, one.input: value})
        return Graph(nodes)

    async def _follow(
        self, client: AsyncClient, run: Run, status: RunStatus
    ) -> AsyncGenerator[RunEvent]:
        """Follow a run and yield the events that change the page."""
        if run.position is not None:
            status.wait(run.position)
        drawn = 0.0
        async for event in client.follow(run, previews=True):
            status.take(event)
            now = time.monotonic()
            if event.name not in _TRANSIENT or now - drawn > TRANSIENT_PAUSE:
                drawn = now
                yield event

    async def _fetch(
        self, client: AsyncClient, run: Run, graph: Graph, values: Sequence[object]
    ) -> list[ResultFile]:
        outputs = await client.outputs(run) if run.status == "succeeded" else []
        kept = [output for output in outputs if output.type == "output"] or outputs
        folder = self.folder / run.id
        folder.mkdir()
        workflow = folder / "workflow.json"
        workflow.write_text(json.dumps(to_prompt(graph), indent=2), encoding="utf-8")
        settings = {one.label: str(value) for one, value in zip(self.fields, values, strict=True)}
        made: list[ResultFile] = []
        for number, output in enumerate(kept):
            path = folder / str(number) / _name(output)
            path.parent.mkdir()
            path.write_bytes(await client.fetch(output))
            facts = {**settings, "File": output.filename, "Run": run.id}
            made.append(ResultFile(path, facts, workflow, output.kind == "images"))
        return made


async def _value(client: AsyncClient, one: Field, given: object) -> object:
    """Return the value for a node: an image is uploaded; without one it is the workflow's own.

    Raises:
        FieldError: the value does not fit the field.
        ClientError: the server refuses the upload.
    """
    if one.kind != "image":
        return one.read(given)
    if not isinstance(given, str):
        return one.value
    name = await asyncio.to_thread(_name_of, Path(given))
    return await client.upload(given, name, _UPLOADS)


def _name_of(path: Path) -> str:
    """Return a name by the file's content, so that the same image is uploaded once."""
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}{path.suffix}"


def _name(output: Output) -> str:
    return Path(output.filename).name or "file"
