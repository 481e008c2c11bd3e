"""`POST /v1/validate`: checks a workflow."""

import asyncio

from aiohttp import web

from nodegraph.errors import InvalidWorkflowError
from nodegraph.validate import check
from server.services import services
from server.v1.models import Validation
from server.v1.problems import finding
from server.v1.reading import reply, workflow_of
from server.v1.requests import WorkflowRequest


async def validate(request: web.Request) -> web.Response:
    """Check a workflow without running it, and list all its problems and warnings."""
    parts = services(request)
    try:
        sent = await workflow_of(request, WorkflowRequest)
    except InvalidWorkflowError as error:
        problems = [finding(problem) for problem in error.problems]
        return reply(Validation(valid=False, problems=problems, warnings=[]))
    checked = await asyncio.to_thread(
        check, sent.graph, parts.registry, parts.files, sent.wanted.targets
    )
    return reply(
        Validation(
            valid=not checked.problems,
            problems=[finding(problem) for problem in checked.problems],
            warnings=[finding(warning) for warning in checked.warnings],
        )
    )
