"""`POST /v1/generate`: a workflow in, a picture out."""

import asyncio
import re
from contextlib import suppress

from aiohttp import web

from server.bus import Subscriber
from server.sending import PICTURES, media_type, sent
from server.services import Services, services
from server.store.runs import Run
from server.v1.models import Finding
from server.v1.outputs import made_by, place_of_output
from server.v1.problems import problem
from server.v1.reading import headers_of, reply
from server.v1.requests import GenerateHeaders
from server.v1.submitting import headers_of_run, shown, submit

_DEFAULT_WAIT, _LONGEST_WAIT = 60, 600
_WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?=$|[,;])", re.IGNORECASE)
_ENDS = ("run_finished", "run_failed", "run_cancelled")


async def generate(request: web.Request) -> web.StreamResponse:
    """Submit a workflow and wait for its first picture.

    The reply is the picture itself; if the run takes longer than `Prefer: wait=N` says, it is
    the run, which goes on, as it does when the client hangs up. The header `Nodegraph-Run` says
    which run it is. A run that succeeds without a picture is answered with the run, too.
    """
    parts = services(request)
    wait = _wait(headers_of(request, GenerateHeaders).prefer)
    run = (await submit(request)).run
    subscriber = parts.bus.subscribe(run=run.id)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await _end_of(parts, run, subscriber)
    finally:
        parts.bus.unsubscribe(subscriber)
    return await _answer(parts, await parts.store.run(run.id))


async def _end_of(parts: Services, run: Run, subscriber: Subscriber) -> None:
    """Wait until the run is over, or nothing more will be heard of it."""
    if (await parts.store.run(run.id)).ended:
        return
    while message := await subscriber.next():
        if message.name in _ENDS:
            return


async def _answer(parts: Services, run: Run) -> web.StreamResponse:
    headers = headers_of_run(run)
    if run.error:
        failure = Finding.model_validate(run.error)
        return problem(422, "run_failed", failure.message, findings=[failure], headers=headers)
    if run.state == "cancelled":
        return problem(409, "run_cancelled", "the run was cancelled.", headers=headers)
    made = await made_by(parts, run) if run.ended else []
    for number, item in sorted(enumerate(made), key=lambda pair: pair[1].artifact.type == "temp"):
        if media_type(item.path) in PICTURES and item.path.is_file():
            response = sent(item.path)
            response.headers.update({**headers, "Content-Location": place_of_output(run, number)})
            return response
    (model,) = shown(parts, run)
    return reply(model, 200 if run.ended else 202, headers)


def _wait(prefer: str) -> int:
    """The seconds that a client would wait."""
    found = _WAIT.search(prefer)
    return min(int(found[1]), _LONGEST_WAIT) if found else _DEFAULT_WAIT
