"""`/v1/runs/{run}/outputs`: what a run made."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from nodegraph.plain import is_object
from nodegraph.results import Artifact
from server.bodies import number_in
from server.errors import UnknownOutputError
from server.sending import sent
from server.services import Services, services
from server.store.runs import Run
from server.v1.models import OutputModel, Outputs
from server.v1.reading import reply
from server.v1.submitting import place_of, run_of

_TELLING = ("node_finished", "node_cached")
_FOLDERS = ("input", "output", "temp")
Shown = Mapping[str, Mapping[str, list[Any]]]
"""What nodes showed, by node and kind."""


class Made(NamedTuple):
    """A file that a run made."""

    node: str
    kind: str
    artifact: Artifact
    path: Path


async def list_outputs(request: web.Request) -> web.Response:
    """What a run made so far, and where to get it."""
    parts = services(request)
    run = await run_of(request)
    shown = await _shown_by(parts, run)
    found = [
        OutputModel(
            node=node,
            kind=kind,
            filename=artifact.filename,
            type=artifact.type,
            url=place_of_output(run, number),
        )
        for number, (node, kind, artifact) in enumerate(_artifacts(shown))
    ]
    values = {node: _values(ui) for node, ui in shown.items()}
    return reply(
        Outputs(outputs=found, values={node: kinds for node, kinds in values.items() if kinds})
    )


async def get_output(request: web.Request) -> web.StreamResponse:
    """A file that a run made."""
    run = await run_of(request)
    wanted = request.match_info["number"]
    number = number_in(wanted)
    made = await made_by(services(request), run)
    if number is None or number >= len(made):
        raise UnknownOutputError(run.id, wanted)
    path = made[number].path
    if not path.is_file():
        raise UnknownOutputError(run.id, wanted, gone=True)
    return sent(path)


async def made_by(parts: Services, run: Run) -> list[Made]:
    """The files that a run made so far.

    Raises:
        UnsafePathError: a node says that it wrote where none may.
    """
    artifacts = _artifacts(await _shown_by(parts, run))
    return [Made(*item, parts.files.path(item[2])) for item in artifacts]


def place_of_output(run: Run, number: int) -> str:
    """Where an output is found."""
    return f"{place_of(run)}/outputs/{number}"


async def _shown_by(parts: Services, run: Run) -> Shown:
    """What each node showed; in the last attempt, if there were several."""
    events = await parts.store.all_events(run.id)
    return {
        event.data["node_id"]: event.data["ui"]
        for event in events
        if event.name in _TELLING and event.data.get("ui")
    }


def _artifacts(shown: Shown) -> Iterator[tuple[str, str, Artifact]]:
    """Every file: its node, its kind, which one."""
    for node, ui in shown.items():
        for kind, items in ui.items():
            for item in items:
                if _is_file(item):
                    subfolder = str(item.get("subfolder", ""))
                    yield node, kind, Artifact(str(item["filename"]), subfolder, item["type"])


def _values(ui: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """What is no file."""
    plain = {kind: [item for item in items if not _is_file(item)] for kind, items in ui.items()}
    return {kind: items for kind, items in plain.items() if items}


def _is_file(item: object) -> bool:
    return is_object(item) and "filename" in item and item.get("type") in _FOLDERS
