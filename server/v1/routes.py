"""Every operation of `/v1`."""

from aiohttp import web

from server.v1 import events, runs
from server.v1.models import EventPage, Outputs, RunModel, RunPage, RunRequest
from server.v1.operation import Operation, Parameter, route

_LIMIT = Parameter("limit", "How many at most.", "integer", minimum=0, maximum=1000)
OPERATIONS = (
    Operation("POST", "/v1/runs", runs.create, RunRequest, RunModel, 201),
    Operation(
        *("GET", "/v1/runs", runs.listing),
        gives=RunPage,
        parameters=(
            Parameter("status", "Only of these, with commas between.", choices=runs.STATES),
            Parameter("cursor", "Of the page before."),
            _LIMIT,
        ),
    ),
    Operation("GET", "/v1/runs/{run}", runs.look, gives=RunModel),
    Operation(
        *("GET", "/v1/runs/{run}/events", events.events),
        gives=EventPage,
        parameters=(Parameter("after", "Only those after it.", "integer", minimum=0), _LIMIT),
    ),
    Operation("GET", "/v1/runs/{run}/outputs", runs.outputs, gives=Outputs),
    Operation("POST", "/v1/runs/{run}/cancel", runs.cancel, gives=RunModel),
    Operation("POST", "/v1/runs/{run}/retry", runs.retry, gives=RunModel),
)


def add_v1(app: web.Application) -> None:
    """Add them."""
    for operation in OPERATIONS:
        app.router.add_route(operation.method, operation.path, route(operation))
