"""The workers on Ray: as many as the settings want, and more while runs wait."""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nodegraph.errors import SettingsError
from nodegraph.settings.ray import RaySettings
from server.workers.process_worker import ServerHooks
from server.workers.ray.connection import Place, RayConnection
from server.workers.ray.messages import ActorOptions
from server.workers.ray.worker import RayWorker

_PAUSE = 1.0
LOCAL, ON_RAY, CLIENT = "local", "ray", "ray://"


def address_of(workers: str, settings: RaySettings) -> str:
    """Return the address of the cluster that the settings name; empty for local workers.

    Raises:
        SettingsError: they name none, or Ray is not installed.
    """
    if workers == LOCAL:
        return ""
    if workers != ON_RAY and not workers.startswith(CLIENT):
        message = f"there are no workers {workers!r}."
        hint = "It is local, ray (see [server.ray] in the settings), or ray://HOST:10001."
        raise SettingsError(message, hint=hint)
    if find_spec("ray") is None:
        message = f"workers {workers!r} need Ray, which is not installed."
        raise SettingsError(message, hint='Install it with: pip install "nodegraph[ray]".')
    return settings.address if workers == ON_RAY else workers


@dataclass(frozen=True, slots=True)
class Sizes:
    """The numbers of workers, and the resources of each."""

    least: int
    most: int
    gpus: float
    sharers: int
    """The most of them that one machine has room for."""

    @classmethod
    def choose(cls, settings: RaySettings, nodes: Sequence[Mapping[str, float]]) -> "Sizes":
        """Return what the settings say, and what the nodes suggest where they say nothing."""
        cards = sum(node.get("GPU", 0.0) for node in nodes)
        gpus = settings.gpus if settings.gpus is not None else float(cards > 0)
        least = settings.workers or (max(int(cards // gpus), 1) if gpus else 1)
        most = max(settings.max_workers or least, least)
        need = {"GPU": gpus, "CPU": settings.cpus, **settings.resources}
        room = [_room(node, {name: n for name, n in need.items() if n}) for node in nodes]
        return cls(least, most, gpus, max(min(max(room, default=1), most), 1))


def _room(node: Mapping[str, float], need: Mapping[str, float]) -> int:
    """Return how many actors a node has room for."""
    return int(min((node.get(name, 0.0) // n for name, n in need.items()), default=1))


class RayPool:
    """The workers of a server on Ray, and the connection to the cluster.

    Args:
        settings: the `[server.ray]` table.
        address: the cluster.
        data_dir: the data folder; a server with another one is another server.
    """

    def __init__(self, settings: RaySettings, address: str, data_dir: Path) -> None:
        owner = f"{socket.gethostname()}:{data_dir.absolute()}"
        self._settings = settings
        place = Place(address, settings.namespace, owner)
        self._connection = RayConnection(place)
        self._workers: list[RayWorker] = []
        self._sizes = Sizes(1, 1, 0.0, 1)
        self._scaling: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect to the cluster.

        Raises:
            SettingsError: that is not possible.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        await self._connection.open()
        self._sizes = Sizes.choose(self._settings, self._connection.nodes)
        self._connection.sharers = self._sizes.sharers

    def workers(
        self, program: Mapping[str, Any], hooks: ServerHooks, slots: int
    ) -> Sequence[RayWorker]:
        """Return the workers, also those that are only wanted while runs wait."""
        self._connection.changed = hooks.changed
        for number in range(self._sizes.most):
            worker = RayWorker(self._options(number), program, self._connection, hooks, slots=slots)
            self._workers.append(worker)
            if number < self._sizes.least:
                worker.want()
        return self._workers

    def scale(self, waiting: Callable[[], int]) -> None:
        """Want more actors while more runs wait, and give idle ones up, from now on.

        Args:
            waiting: returns the number of waiting runs.
        """
        if self._sizes.most > self._sizes.least:
            self._scaling = asyncio.create_task(self._scale(waiting))

    async def close(self) -> None:
        """End the connection; the actors stay for the next server."""
        if self._scaling is not None:
            self._scaling.cancel()
            with suppress(asyncio.CancelledError):
                await self._scaling
        await self._connection.close()

    async def _scale(self, waiting: Callable[[], int]) -> None:
        while True:
            await asyncio.sleep(_PAUSE)
            extra = self._workers[self._sizes.least :]
            coming = sum(worker.is_wanted and not worker.ready for worker in self._workers)
            missing = waiting() - coming
            for worker in extra:
                if missing > 0 and not worker.is_wanted:
                    worker.want()
                    missing -= 1
                elif worker.is_wanted and worker.idle_for > self._settings.idle and not waiting():
                    worker.give_up()

    def _options(self, number: int) -> ActorOptions:
        settings = self._settings
        return ActorOptions(
            f"ray-{number}",
            self._sizes.gpus,
            settings.cpus,
            settings.resources,
            settings.runtime_env,
            settings.keep,
        )
