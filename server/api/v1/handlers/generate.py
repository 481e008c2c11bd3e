"""`POST /v1/generate`: runs a workflow and replies with its image."""

import asyncio
import re
from contextlib import suppress

from aiohttp import web

from server.api.v1.handlers.outputs import made_by, place_of_output
from server.api.v1.handlers.parsing import headers_of, reply
from server.api.v1.handlers.submit import headers_of_run, run_models, submit
from server.api.v1.schema.models import Finding
from server.api.v1.schema.problems import problem
from server.api.v1.schema.requests import GenerateHeaders
from server.scheduling.event_bus import Subscriber
from server.store.runs import Run
from server.web.file_responses import PICTURES, file_response, find_stored, media_type
from server.web.services import Services, services

_DEFAULT_WAIT, _LONGEST_WAIT = 60, 600
_WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?=$|[,;])", re.IGNORECASE)
_ENDS = ("run_finished", "run_failed", "run_cancelled")


async def generate(request: web.Request) -> web.StreamResponse:
    """Submit a workflow and wait for its first image.

    The reply is the image itself. If the run takes longer than `Prefer: wait=N` allows, the reply
    is the run, which continues, as it does if the client disconnects. The header `Nodegraph-Run`
    has the id of the run. If the run succeeds without an image, the reply is the run, too.
    """
    parts = services(request)
    wait = seconds_in(headers_of(request, GenerateHeaders).prefer)
    run = (await submit(request)).run
    await wait_for_end(parts, run, _DEFAULT_WAIT if wait is None else min(wait, _LONGEST_WAIT))
    return await _answer(request, await parts.store.run(run.id))


async def wait_for_end(parts: Services, run: Run, seconds: float) -> None:
    """Wait until a run is over, the server stops, or so many seconds have passed."""
    subscriber = parts.bus.subscribe(run=run.id)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _end_of(parts, run, subscriber)
    finally:
        parts.bus.unsubscribe(subscriber)


def problem_of_run(run: Run) -> web.Response | None:
    """Return the reply for a run that failed or was cancelled; None for any other."""
    headers = headers_of_run(run)
    if run.error:
        failure = Finding.model_validate(run.error)
        return problem(422, "run_failed", failure.message, findings=[failure], headers=headers)
    if run.state == "cancelled":
        return problem(409, "run_cancelled", "the run was cancelled.", headers=headers)
    return None


def seconds_in(prefer: str) -> int | None:
    """Return the seconds that a `Prefer` header lets a reply take; None if it names none."""
    found = _WAIT.search(prefer)
    return int(found[1]) if found else None


async def _end_of(parts: Services, run: Run, subscriber: Subscriber) -> None:
    """Wait until the run is over or the server stops."""
    if (await parts.store.run(run.id)).is_over:
        return
    while message := await subscriber.next():
        if message.name in _ENDS:
            return


async def _answer(request: web.Request, run: Run) -> web.StreamResponse:
    parts = services(request)
    failure = problem_of_run(run)
    if failure is not None:
        return failure
    headers = headers_of_run(run)
    made = await made_by(parts, run) if run.is_over else []
    for number, item in sorted(enumerate(made), key=lambda pair: pair[1].artifact.type == "temp"):
        if media_type(item.artifact.filename) not in PICTURES:
            continue
        if found := await find_stored(parts, item.artifact):
            response = await file_response(request, found)
            response.headers.update({**headers, "Content-Location": place_of_output(run, number)})
            return response
    (model,) = run_models(parts, run)
    return reply(model, 200 if run.is_over else 202, headers)
