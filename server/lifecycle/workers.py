"""The workers of a server: processes on this machine, or actors of a cluster."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nodegraph.cache.limit import limit_bytes
from nodegraph.files.objects.address import ObjectAddress
from nodegraph.settings.layers import TABLES
from nodegraph.settings.settings import Settings
from server.workers.devices import Device, choose_devices
from server.workers.local import LocalWorker
from server.workers.process_worker import ServerHooks
from server.workers.worker import Worker

if TYPE_CHECKING:
    from server.workers.ray.pool import RayPool

_OF_THE_MACHINE = ("cache_dir", "hub_cache_dir", "hub_token", "lock_file", "server")
"""Settings that a worker elsewhere has its own of, unless the command line names them."""


@dataclass(frozen=True, slots=True)
class Workforce:
    """The devices or the cluster that compute for a server, found before anything is opened."""

    common: Settings
    options: Mapping[str, Any]
    """The options of the workers' program."""
    devices: Sequence[Device] = ()
    """The devices of this machine that compute."""
    pool: "RayPool | None" = None
    """The cluster that computes; None for processes on this machine."""

    @classmethod
    async def find(cls, common: Settings, flags: Mapping[str, Any]) -> "Workforce":
        """Find the devices of this machine, or connect to the cluster of the settings.

        Args:
            common: the settings.
            flags: the options of the command line.

        Raises:
            SettingsError: there is no such device or cluster.
        """
        settings = common.server
        options = {"flags": _for_workers(flags), "log_levels": dict(settings.log_levels)}
        if settings.workers == "local":
            devices = choose_devices(settings.devices)
            result_cache = limit_bytes(common.result_cache, len(devices))
            options["flags"] = {**options["flags"], "result_cache": result_cache}
            return cls(common, options, devices)
        from server.workers.ray.pool import RayPool, address_of  # others need no such package

        address = address_of(settings.workers, settings.ray)
        pool = RayPool(settings.ray, address, settings.data_dir)
        await pool.open()
        named = {item.name: getattr(common, item.name) for item in fields(Settings)}
        told = {name: value for name, value in named.items() if name not in _OF_THE_MACHINE}
        options["flags"] = {**_for_workers(told), **options["flags"]}
        return cls(common, options, pool=pool)

    def make(self, hooks: ServerHooks, warm: Sequence[Mapping[str, Any]]) -> Sequence[Worker]:
        """Return the workers, to be started.

        Args:
            hooks: the parts of the server that they call.
            warm: the workflows that they run before all others; see `warm_workflows`.
        """
        settings = self.common.server
        options, slots = self.options, settings.slots
        if warm:
            options = {**options, "warm": warm, "keep": settings.keep}
        if self.pool is not None:
            return self.pool.workers(options, hooks, slots)
        return [LocalWorker(each, options, hooks, slots=slots) for each in self.devices]

    def scale(self, waiting: Callable[[], int]) -> None:
        """Have as many workers as are needed from now on, where the settings leave that open.

        Args:
            waiting: returns the number of waiting runs.
        """
        if self.pool is not None:
            self.pool.scale(waiting)

    async def close(self) -> None:
        """End the connection to the cluster, if there is one."""
        if self.pool is not None:
            await self.pool.close()


def _for_workers(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags that workers need, as JSON values with absolute paths."""
    return {
        name: _plain(value)
        for name, value in flags.items()
        if name not in TABLES and value not in (None, (), {})
    }


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, ObjectAddress):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in cast("tuple[object, ...]", value)]
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in cast("Mapping[str, object]", value).items()}
    return value
