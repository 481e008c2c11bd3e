"""`POST /v1/validate`: checks a workflow."""

import asyncio

from aiohttp import web

from nodegraph.errors import InvalidWorkflowError
from server.api.pack_prompts import placed_by_packs
from server.api.v1.handlers.parsing import reply, workflow_of
from server.api.v1.schema.models import Validation
from server.api.v1.schema.problems import finding
from server.api.v1.schema.requests import WorkflowRequest
from server.web.services import services


async def validate(request: web.Request) -> web.Response:
    """Check a workflow without running it, and list all its problems and warnings."""
    parts = services(request)
    try:
        sent = await workflow_of(request, WorkflowRequest)
    except InvalidWorkflowError as error:
        problems = [finding(problem) for problem in error.problems]
        none = Validation(valid=False, problems=problems, warnings=[], servers=[], why="")
        return reply(none)
    wanted = sent.wanted
    placed = await asyncio.to_thread(parts.place, sent.graph, wanted.targets, wanted.prefer)
    placed = await placed_by_packs(parts, placed)
    checked = placed.checked
    return reply(
        Validation(
            valid=not checked.problems,
            problems=[finding(problem) for problem in checked.problems],
            warnings=[finding(warning) for warning in checked.warnings],
            servers=list(placed.servers),
            why=placed.why,
        )
    )
