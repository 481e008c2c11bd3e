"""Prompts before they are queued: packs may change them, and check the inputs of their nodes.

A worker is asked, for this process imports no pack. Where no worker answers in time, a prompt goes
on as it is: the run itself checks it again.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nodegraph.errors import InvalidWorkflowError
from nodegraph.graph.graph import Graph
from nodegraph.graph.json_values import is_object
from nodegraph.validation.own_checks import has_own_checks
from nodegraph.validation.placement import Placement
from nodegraph.validation.problems import CustomValidationError
from nodegraph.workflow.api_format import as_sent
from nodegraph.workflow.read import read_prompt
from server.errors import WorkerLostError
from server.scheduling.event_bus import Message
from server.web.services import Services
from server.workers.questions import About, AnswersQuestions

_PATIENCE = 60.0
"""Seconds that packs may take for an answer: the first one imports them."""
_START = 20.0
"""Seconds that a worker may take to be ready."""
_PAUSE = 0.1
_log = logging.getLogger(__name__)


def packs_change_prompts(parts: Services) -> bool:
    """Return True if a pack changes prompts before they are queued."""
    return any(pack.changes_prompts for pack in parts.registry.packs)


async def changed_by_packs(
    parts: Services, graph: Graph, extra: Mapping[str, Any], client: str, run: str
) -> tuple[Graph, Mapping[str, Any]]:
    """Return a graph and the data sent along with it, as packs change them.

    Args:
        parts: those of the owner.
        graph: as it was sent.
        extra: what ComfyUI calls `extra_data`.
        client: whose it is; hears what the packs tell.
        run: the id of the run that it will be.
    """
    request = {"prompt": as_sent(graph), "extra_data": dict(extra), "client_id": client}
    answer = await _ask(parts, "prompt", {"request": request})
    for told in answer.get("messages", ()):
        parts.bus.publish(Message("pack_message", run=run, client=client, data=told))
    found = answer.get("request")
    if not is_object(found) or found == request:
        return graph, extra
    more = found.get("extra_data")
    try:
        changed = read_prompt(found["prompt"], graph.editor)
    except InvalidWorkflowError as error:
        _log.warning("a pack changed a prompt to one that can not be read: %s", error)
        return graph, extra
    return changed, more if is_object(more) else extra


async def placed_by_packs(parts: Services, placed: Placement) -> Placement:
    """Return a placed graph with what the node types of packs find wrong with their inputs.

    On a ComfyUI server they are its own, and are asked there when it runs.
    """
    checked = placed.checked
    if placed.servers or not has_own_checks(checked, parts.registry):
        return placed
    question = {"prompt": as_sent(checked.original), "targets": list(checked.targets)}
    answer = await _ask(parts, "inputs", question)
    found = [_problem(each) for each in answer.get("problems", ())]
    more = replace(checked, problems=(*checked.problems, *found)) if found else checked
    return replace(placed, checked=more)


async def _ask(parts: Services, about: About, question: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a worker's answer; an empty one if there is none in time."""
    try:
        worker = await _worker(parts)
        return await worker.ask(about, {**question, "owner": parts.owner}, _PATIENCE)
    except WorkerLostError as error:
        _log.warning("packs were not asked about a prompt: %s", error)
    except TimeoutError:
        _log.warning("packs did not answer in time about a prompt, which goes on without them")
    return {}


async def _worker(parts: Services) -> AnswersQuestions:
    """Return the first worker that is ready and can be asked.

    Raises:
        TimeoutError: none is ready in time.
    """
    async with asyncio.timeout(_START):
        while True:
            for worker in parts.dispatcher.workers:
                if worker.ready and isinstance(worker, AnswersQuestions):
                    return worker
            await asyncio.sleep(_PAUSE)


def _problem(told: Mapping[str, Any]) -> CustomValidationError:
    return CustomValidationError(
        told["message"],
        hint=told["hint"],
        node_id=told["node_id"],
        input_name=told["input_name"],
        details=told["details"],
    )
