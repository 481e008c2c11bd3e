"""`/v1/runs/{run}/outputs`: the outputs of a run."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from aiohttp import web

from nodegraph.graph.json_values import is_object
from nodegraph.graph.results import Artifact
from server.api.v1.handlers.parsing import reply
from server.api.v1.handlers.submit import place_of, run_of
from server.api.v1.schema.models import OutputModel, Outputs
from server.errors import UnknownOutputError
from server.store.runs import Run
from server.web.file_responses import file_response, find_stored
from server.web.request_bodies import parse_number
from server.web.services import Services, services

_OUTPUT_EVENTS = ("node_finished", "node_cached")
_FOLDERS = ("input", "output", "temp")
NodeOutputs = Mapping[str, Mapping[str, list[Any]]]
"""The outputs of nodes (`ui`), by node and kind."""


class OutputFile(NamedTuple):
    """An output of a run that is a file."""

    node: str
    kind: str
    artifact: Artifact


async def list_outputs(request: web.Request) -> web.Response:
    """List the outputs of a run so far."""
    parts = services(request)
    run = await run_of(request)
    outputs = await _outputs_by_node(parts, run)
    found = [
        OutputModel(
            node=node,
            kind=kind,
            filename=artifact.filename,
            type=artifact.type,
            url=place_of_output(run, number),
        )
        for number, (node, kind, artifact) in enumerate(_artifacts(outputs))
    ]
    values = {node: _values(ui) for node, ui in outputs.items()}
    return reply(
        Outputs(outputs=found, values={node: kinds for node, kinds in values.items() if kinds})
    )


async def get_output(request: web.Request) -> web.StreamResponse:
    """Get the file of an output."""
    run = await run_of(request)
    wanted = request.match_info["number"]
    number = parse_number(wanted)
    made = await made_by(services(request), run)
    if number is None or number >= len(made):
        raise UnknownOutputError(run.id, wanted)
    found = await find_stored(services(request), made[number].artifact)
    if found is None:
        raise UnknownOutputError(run.id, wanted, gone=True)
    return await file_response(request, found)


async def made_by(parts: Services, run: Run) -> list[OutputFile]:
    """Return the output files of a run so far."""
    return [OutputFile(*item) for item in _artifacts(await _outputs_by_node(parts, run))]


def place_of_output(run: Run, number: int) -> str:
    """Return the path of an output."""
    return f"{place_of(run)}/outputs/{number}"


async def _outputs_by_node(parts: Services, run: Run) -> NodeOutputs:
    """Return the outputs (`ui`) of each node, from its last attempt."""
    events = await parts.store.all_events(run.id)
    return {
        event.data["node_id"]: event.data["ui"]
        for event in events
        if event.name in _OUTPUT_EVENTS and event.data.get("ui")
    }


def _artifacts(outputs: NodeOutputs) -> Iterator[tuple[str, str, Artifact]]:
    """Yield each output file with its node and kind."""
    for node, ui in outputs.items():
        for kind, items in ui.items():
            for item in items:
                if _is_file(item):
                    subfolder = str(item.get("subfolder", ""))
                    yield node, kind, Artifact(str(item["filename"]), subfolder, item["type"])


def _values(ui: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the outputs that are not files."""
    plain = {kind: [item for item in items if not _is_file(item)] for kind, items in ui.items()}
    return {kind: items for kind, items in plain.items() if items}


def _is_file(item: object) -> bool:
    return is_object(item) and "filename" in item and item.get("type") in _FOLDERS
