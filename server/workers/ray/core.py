"""The calls of Ray's that the gateway makes. Only the gateway's process imports this."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import ray  # pyright: ignore[reportMissingImports]: an extra, which checks do without

from server.workers.ray.actor import WorkerHost
from server.workers.ray.messages import ActorOptions, Attachment, News

_core: Final[Any] = ray
"""Ray is typed in part only, and not at all where it is not installed."""
_PATIENCE: Final = 3.0
"""Seconds that the head has to answer."""
_CALLS: Final = 1000
"""Calls of an actor that may go on at once; most of them only wait."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster that this process is connected to."""

    nodes: tuple[Mapping[str, float], ...]
    """The resources of each node that is alive."""
    version: str


def connect(address: str, namespace: str) -> Cluster:
    """Connect to a cluster, or start one on this machine for `local`, and return it.

    Raises:
        Exception: any of Ray's; it says why.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    _core.init(address=address, namespace=namespace, log_to_driver=False, logging_level="warning")
    return Cluster(tuple(node["Resources"] for node in nodes()), _core.__version__)


def nodes() -> list[Mapping[str, Any]]:
    """Ask the head for the nodes that are alive; raises what `connect` raises."""
    return [node for node in _core.nodes() if node["Alive"]]


async def head_answers() -> bool:
    """Return True if the head answers now: then an actor that is lost has not gone with it."""
    asking = asyncio.ensure_future(asyncio.to_thread(nodes))
    done, _ = await asyncio.wait([asking], timeout=_PATIENCE)
    return bool(done) and asking.exception() is None and bool(asking.result())


def was_lost(error: BaseException) -> bool:
    """Return True if an actor has died or cannot be reached, rather than refused something."""
    return isinstance(error, _core.exceptions.RayActorError)


def is_restarted(error: BaseException) -> bool:
    """Return True if an actor cannot be reached, and is probably being restarted."""
    return isinstance(error, _core.exceptions.ActorUnavailableError)


class Actor:
    """The actor of one worker, which is created where there is none of that name.

    Args:
        options: the actor that is wanted.
        namespace: where its name is looked for.
        recipe: stands for the options, and the version of this program.
    """

    def __init__(self, options: ActorOptions, namespace: str, recipe: str) -> None:
        actor = _core.remote(WorkerHost).options(
            name=options.name,
            namespace=namespace,
            lifetime="detached",
            get_if_exists=True,
            num_gpus=options.gpus,
            num_cpus=options.cpus,
            resources=dict(options.resources) or None,
            runtime_env=dict(options.runtime_env) or None,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=_CALLS,
        )
        self._handle: Any = actor.remote(recipe, options.keep)

    async def describe(self) -> Mapping[str, Any]:
        """See `WorkerHost.describe`; waits until the actor has a place."""
        return await self._handle.describe.remote()

    async def attach(self, attachment: Attachment) -> str:
        """See `WorkerHost.attach`."""
        return await self._handle.attach.remote(attachment)

    async def take(self, session: str) -> News:
        """See `WorkerHost.take`."""
        return await self._handle.take.remote(session)

    async def write(self, session: str, data: bytes) -> None:
        """See `WorkerHost.write`."""
        await self._handle.write.remote(session, data)

    async def detach(self, session: str, *, end: bool = False) -> None:
        """See `WorkerHost.detach`."""
        await self._handle.detach.remote(session, end=end)

    def kill(self) -> None:
        """End the actor, and its process with it; it is not restarted."""
        _core.kill(self._handle)
