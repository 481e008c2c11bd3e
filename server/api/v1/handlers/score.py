"""`POST /score`: workflows as Azure Machine Learning calls a model."""

import asyncio
import base64
from collections.abc import Iterator, Sequence

from aiohttp import web

from nodegraph.errors import UnknownFileError
from nodegraph.files.files import Files
from server.api.v1.handlers.generate import problem_of_run, seconds_in, wait_for_end
from server.api.v1.handlers.outputs import OutputFile, made_by
from server.api.v1.handlers.parsing import headers_of, reply
from server.api.v1.handlers.score_request import score_request, workflow_to_score
from server.api.v1.handlers.submit import headers_of_run, queue_run
from server.api.v1.schema.models import Score, ScoreOutput
from server.api.v1.schema.operation import JSON
from server.api.v1.schema.requests import ScoreHeaders, ScoreRequest
from server.errors import QueueFullError, UnknownOutputError
from server.store.runs import Run, RunFilter
from server.web.file_responses import PICTURES, file_response, find_stored, media_type
from server.web.services import Services, note_run, services

_AGAIN = "1"
"""Seconds after which a client may ask for a run again."""


async def score(request: web.Request) -> web.StreamResponse:
    """Run a workflow and reply with its files, as Azure Machine Learning calls a model.

    The body is a workflow in either format; or `{"workflow": …, "values": {"NODE.INPUT": …}}` with
    a workflow or the name of one that the server has. The reply has the files that the run made,
    as base64; with `Accept: image/png` it is the first image itself. If the run takes longer than
    the server may wait, the reply is 202 and the run, which continues, as it does if the client
    disconnects. Ask for it by sending `{"id": …}` to the same path. If too many runs wait, the
    reply is 429.
    """
    began = asyncio.get_running_loop().time()
    parts = services(request)
    wait = _wait(parts, headers_of(request, ScoreHeaders).prefer)
    run = await _run(request, await score_request(request))
    left = began + wait - asyncio.get_running_loop().time()
    await wait_for_end(parts, run, max(left, 0))
    return await _answer(request, await parts.store.run(run.id))


def _wait(parts: Services, prefer: str) -> float:
    """Return the seconds that a reply may take."""
    longest, wished = parts.settings.server.score_deadline, seconds_in(prefer)
    return longest if wished is None else min(wished, longest)


async def _run(request: web.Request, wanted: ScoreRequest) -> Run:
    """Return the run that is asked for, or a new one of the workflow that is sent."""
    parts = services(request)
    if wanted.workflow is None:
        run = await parts.store.run(str(wanted.id))
        note_run(request, run.id)
        return run
    sent = await workflow_to_score(request, wanted)
    waiting = await parts.store.count(RunFilter(states=["queued"]))
    if waiting >= parts.settings.server.score_waiting:
        raise QueueFullError(waiting)
    return (await queue_run(request, sent)).run


async def _answer(request: web.Request, run: Run) -> web.StreamResponse:
    parts = services(request)
    failure = problem_of_run(run)
    if failure is not None:
        return failure
    headers = headers_of_run(run)
    if not run.is_over:
        status = 200 if parts.settings.server.score_pending_ok else 202
        body = Score(id=run.id, status=run.state, outputs=[])
        return reply(body, status, {**headers, "Retry-After": _AGAIN})
    made = await made_by(parts, run)
    kept = [item for item in made if item.artifact.type == "output"] or made
    wanted = _accepted_image(request.headers.get("Accept", ""), kept)
    if wanted and (found := await find_stored(parts, wanted.artifact)):
        response = await file_response(request, found)
        response.headers.update(headers)
        return response
    outputs = await parts.ask_folder(_contents, parts.files, run, kept)
    return reply(Score(id=run.id, status=run.state, outputs=outputs), headers=headers)


def _accepted_image(accept: str, made: Sequence[OutputFile]) -> OutputFile | None:
    """Return the image that a client accepts rather than JSON, if there is one."""
    pictures = [item for item in made if media_type(item.artifact.filename) in PICTURES]
    for wanted in _media_ranges(accept):
        if wanted in (JSON, "application/*", "*/*"):
            return None
        for item in pictures:
            if wanted in (media_type(item.artifact.filename), "image/*"):
                return item
    return None


def _media_ranges(accept: str) -> Iterator[str]:
    """Yield the media types of an `Accept` header, in their order; weights are not read."""
    for part in accept.split(","):
        yield part.partition(";")[0].strip().lower()


def _contents(files: Files, run: Run, made: Sequence[OutputFile]) -> list[ScoreOutput]:
    """Read the files of a run.

    Raises:
        UnknownOutputError: one of them is gone.
    """
    return [_content(files, run, number, item) for number, item in enumerate(made)]


def _content(files: Files, run: Run, number: int, item: OutputFile) -> ScoreOutput:
    found = files.users.find_artifact(item.artifact)
    if found is None:
        raise UnknownOutputError(run.id, str(number), gone=True)
    try:
        data = found.local().read_bytes()
    except (FileNotFoundError, UnknownFileError) as error:
        raise UnknownOutputError(run.id, str(number), gone=True) from error
    return ScoreOutput(
        node=item.node,
        kind=item.kind,
        filename=item.artifact.filename,
        media_type=media_type(item.artifact.filename),
        data=base64.b64encode(data).decode(),
    )
