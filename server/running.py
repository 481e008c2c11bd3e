"""A server's life: everything is opened, it serves, and what runs may finish."""

import asyncio
import logging
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import Signals
from typing import Any

import click
from aiohttp import web

from nodegraph.errors import SettingsError
from nodegraph.places import data_folder
from nodegraph.registry import Registry
from nodegraph.settings import Settings
from server.app import create_app
from server.bus import Bus
from server.data_folder import holding
from server.dispatcher import Dispatcher
from server.security import is_loopback
from server.services import Services
from server.settings import ServerSettings
from server.store.store import Store
from server.workers.local import LocalWorker

_log = logging.getLogger("server")
_FOLDERS = ("models_dir", "input_dir", "output_dir")


async def run_server(flags: Mapping[str, Any], stops: Sequence[Signals]) -> None:
    """Serve until one of `stops` comes; a second one ends it at once.

    Args:
        flags: what the command line says.
        stops: the signals that end it.

    Raises:
        SettingsError: what is asked for has no meaning, or is not safe.
        DataFolderInUseError: another server has the data folder.
        DamagedStoreError: the queue is damaged.
    """
    settings = server_settings(flags)
    with holding(settings.data_dir):
        parts = opened(settings, {name: flags.get(name) for name in _FOLDERS})
        runner = web.AppRunner(create_app(parts, settings), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
            _announce(runner, settings)
            await _until(stops)
            _log.info("stopping; what runs may take %.0f s to finish", settings.drain)
            await parts.dispatcher.drain(settings.drain)
        finally:
            await runner.cleanup()


def server_settings(flags: Mapping[str, Any]) -> ServerSettings:
    """What the flags say.

    Raises:
        SettingsError: others could reach the server, and it has no token.
    """
    file: Path | None = flags.get("token_file")
    token = file.read_text().strip() if file else flags["token"]
    if not is_loopback(flags["host"]) and not token:
        message = f"--host {flags['host']} lets other machines in, and needs a token."
        hint = f"For example --token {secrets.token_urlsafe(24)}, or --token-file."
        raise SettingsError(message, hint=hint)
    return ServerSettings(
        host=flags["host"],
        port=flags["port"],
        allowed_hosts=tuple(flags["allow_host"]),
        token=token,
        data_dir=flags.get("data_dir") or data_folder() / "server",
        slots=flags["slots"],
    )


def opened(settings: ServerSettings, folders: Mapping[str, Any]) -> Services:
    """All parts, ready to start."""
    given = {name: value for name, value in folders.items() if value not in (None, ())}
    common = Settings.read(given)
    registry = Registry.load(common.packs, common.cache_dir)
    store = Store(settings.data_dir / "queue.sqlite")
    store.open()
    bus = Bus()
    dispatcher = Dispatcher(store, bus)
    worker = LocalWorker(
        "local-0", _plain(given), dispatcher.name, slots=settings.slots, changed=dispatcher.wake
    )
    dispatcher.workers.append(worker)
    return Services(
        settings=common,
        registry=registry,
        files=common.files(registry.model_places),
        store=store,
        bus=bus,
        dispatcher=dispatcher,
    )


def _plain(folders: Mapping[str, Path | tuple[Path, ...]]) -> dict[str, Any]:
    """As JSON has it; absolute, for the worker's sake."""
    return {
        name: str(value.absolute())
        if isinstance(value, Path)
        else [str(item.absolute()) for item in value]
        for name, value in folders.items()
    }


def _announce(runner: web.AppRunner, settings: ServerSettings) -> None:
    port = runner.addresses[0][1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    click.echo(f"http://{host}:{port}")


async def _until(stops: Sequence[Signals]) -> None:
    """Wait for one of the signals; the next one then has its usual effect."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in stops:
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
    for number in stops:
        loop.remove_signal_handler(number)
