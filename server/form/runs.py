"""From what somebody put into the form to images: through the server, as a client of their own."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nodegraph.client import AsyncClient, Output, Run, RunEvent
from nodegraph.errors import NodeGraphError
from nodegraph.graph import Graph
from nodegraph.workflow import to_prompt
from server.form.fields import Field
from server.form.standing import Standing

PASSING_PAUSE = 0.1
"""Seconds for which nothing more is drawn that is only passing."""
_PASSING = ("progress", "preview")
_UPLOADS = "form"
"""The folder inside of the server's input folder that pictures are put into."""


@dataclass(frozen=True, slots=True)
class Made:
    """A file that a run made, and how."""

    path: Path
    settings: Mapping[str, str]
    workflow: Path
    """What made it, in API format."""
    is_image: bool = True


@dataclass(frozen=True, slots=True)
class News:
    """What there is to draw."""

    standing: Standing
    made: Sequence[Made] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """A workflow, what is asked for, and the server that it is sent to."""

    graph: Graph
    fields: Sequence[Field]
    url: str
    token: str
    folder: Path
    """Keeps what was made while the page is served."""
    titles: Mapping[str, str]
    _runs: dict[str, str] = field(default_factory=dict[str, str])
    """The run that each visitor waits for."""

    async def run(self, visitor: str, given: Sequence[object]) -> AsyncGenerator[News]:
        """Send the form, and tell how it is doing until it is over.

        Args:
            visitor: whose it is; visitors take turns.
            given: what was put into each field.
        """
        standing = Standing(self.titles)
        yield News(standing)
        try:
            async with self._client(visitor) as client:
                values = [
                    await _value(client, *one) for one in zip(self.fields, given, strict=True)
                ]
                graph = self._filled(values)
                run = await client.submit(graph)
                self._runs[visitor] = run.id
                async for _ in self._follow(client, run, standing):
                    yield News(standing)
                ended = await client.get(run)
                made = await self._fetch(client, ended, graph, values)
        except NodeGraphError as error:
            standing.fail(error.message, error.hint)
            yield News(standing)
            return
        self._runs.pop(visitor, None)
        standing.end(ended)
        yield News(standing, made)

    async def cancel(self, visitor: str) -> None:
        """Stop what a visitor waits for, if anything."""
        run = self._runs.pop(visitor, None)
        if run is not None:
            async with self._client(visitor) as client:
                await client.cancel(run)

    def _client(self, visitor: str) -> AsyncClient:
        return AsyncClient(self.url, token=self.token, client=f"form-{visitor}", patience=20)

    def _filled(self, values: Sequence[object]) -> Graph:
        nodes = dict(self.graph.nodes)
        for one, value in zip(self.fields, values, strict=True):
            node = nodes[one.node]
            nodes[one.node] = replace(node, inputs={**node.inputs, one.input: value})
        return Graph(nodes)

    async def _follow(
        self, client: AsyncClient, run: Run, standing: Standing
    ) -> AsyncGenerator[RunEvent]:
        """What is worth drawing."""
        if run.position is not None:
            standing.wait(run.position)
        drawn = 0.0
        async for event in client.follow(run, previews=True):
            standing.take(event)
            now = time.monotonic()
            if event.name not in _PASSING or now - drawn > PASSING_PAUSE:
                drawn = now
                yield event

    async def _fetch(
        self, client: AsyncClient, run: Run, graph: Graph, values: Sequence[object]
    ) -> list[Made]:
        outputs = await client.outputs(run) if run.status == "succeeded" else []
        kept = [output for output in outputs if output.type == "output"] or outputs
        folder = self.folder / run.id
        folder.mkdir()
        workflow = folder / "workflow.json"
        workflow.write_text(json.dumps(to_prompt(graph), indent=2), encoding="utf-8")
        settings = {one.label: str(value) for one, value in zip(self.fields, values, strict=True)}
        made: list[Made] = []
        for number, output in enumerate(kept):
            path = folder / str(number) / _name(output)
            path.parent.mkdir()
            path.write_bytes(await client.fetch(output))
            facts = {**settings, "File": output.filename, "Run": run.id}
            made.append(Made(path, facts, workflow, output.kind == "images"))
        return made


async def _value(client: AsyncClient, one: Field, given: object) -> object:
    """What a node gets: a picture is uploaded, and none is the workflow's own.

    Raises:
        FieldError: it means nothing there.
        ClientError: the server does not take it.
    """
    if one.kind != "image":
        return one.read(given)
    if not isinstance(given, str):
        return one.value
    name = await asyncio.to_thread(_name_of, Path(given))
    return await client.upload(given, name, _UPLOADS)


def _name_of(path: Path) -> str:
    """After its content: the same picture is uploaded once."""
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}{path.suffix}"


def _name(output: Output) -> str:
    return Path(output.filename).name or "file"
