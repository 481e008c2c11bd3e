"""Runs a server from start to end: opens its parts, serves, and lets active runs finish."""

import asyncio
import gc
import logging
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from signal import Signals
from typing import Any
from urllib.parse import quote

import click
from aiohttp import web

from nodegraph.packs.installed import problem_lines
from nodegraph.packs.registry import Registry
from nodegraph.runtime.choices import PreviewMethod
from nodegraph.settings.server import ServerSettings
from nodegraph.settings.settings import Settings
from server.lifecycle.app import create_app
from server.lifecycle.data_folder import lock_data_folder
from server.lifecycle.settings_check import tokens_of
from server.lifecycle.sockets import open_sockets
from server.lifecycle.tracing import open_tracing
from server.lifecycle.warm import warm_workflows
from server.lifecycle.workers import Workforce
from server.observability import logs
from server.observability.metrics import Metrics
from server.observability.observer import Observer
from server.pictures.process import Pictures
from server.scheduling.dispatcher import Dispatcher
from server.scheduling.event_bus import Bus
from server.store.store import Store
from server.web.access_log import LOGGER, AccessLog
from server.web.security import LOGIN
from server.web.services import Parts
from server.web.tokens import Tokens
from server.webhooks import signing
from server.webhooks.sender import Webhooks
from server.webhooks.targets import Targets
from server.workers.comfyui.servers import comfy_servers
from server.workers.file_names import FileNames
from server.workers.process_worker import ServerHooks

_log = logging.getLogger("server")
_TEMP = "temp"
_LAST_WORDS = 3.0
"""Seconds that requests may take to end after the last run; aiohttp waits twice as long."""


async def run_server(flags: Mapping[str, Any], stops: Sequence[Signals]) -> None:
    """Serve until one of `stops` comes; a second one ends it at once.

    Args:
        flags: the options of the command line.
        stops: the signals that end it.

    Raises:
        SettingsError: a setting is wrong or not safe.
        DataFolderInUseError: another server uses the data folder.
        DamagedStoreError: the queue is damaged.
    """
    common, flags = _read(flags)
    settings = common.server
    logs.begin(settings.log_format, settings.log_levels)
    tokens, tracing = tokens_of(settings), open_tracing(settings.traces)
    with lock_data_folder(settings.data_dir):
        sockets = await open_sockets(settings.host, settings.port)
        shutil.rmtree(settings.data_dir / _TEMP, ignore_errors=True)
        workforce = await Workforce.find(common, flags)
        port = sockets[0].getsockname()[1]
        observers = [tracing.runs] if tracing else []
        parts = open_parts(common, replace(settings, port=port), workforce, observers)
        app = create_app(parts, settings, tokens, tracing)
        runner = web.AppRunner(
            app,
            access_log=LOGGER,
            access_log_class=AccessLog,
            auto_decompress=False,
            shutdown_timeout=_LAST_WORDS,
        )
        await runner.setup()
        try:
            for socket in sockets:
                await web.SockSite(runner, socket).start()
            workforce.scale(lambda: parts.dispatcher.waiting)
            _announce(runner, settings.host, tokens)
            gc.freeze()  # what a server begins with stays, and need not be looked through again
            await _until(stops)
            _log.info("stopping; active runs may take %.0f s to finish", settings.drain)
            await parts.dispatcher.drain(settings.drain)
        finally:
            await runner.cleanup()
            await workforce.close()
            if tracing is not None:
                await tracing.close()


def _read(flags: Mapping[str, Any]) -> tuple[Settings, Mapping[str, Any]]:
    """Return the settings and their flags, which the command line has checked.

    Previews get a folder of the server's own, emptied when it starts, unless one is set.
    """
    settings = Settings.read(flags, flags_checked=True)
    if settings.temp_dir != settings.cache_dir / _TEMP:
        return settings, flags
    temp = settings.server.data_dir / _TEMP
    return replace(settings, temp_dir=temp), {**flags, "temp_dir": temp}


def open_parts(
    common: Settings,
    settings: ServerSettings,
    workforce: Workforce,
    observers: Sequence[Observer] = (),
) -> Parts:
    """Open the store and return all parts, ready to start.

    Args:
        common: the settings of every command.
        settings: the settings of the server.
        workforce: makes the workers.
        observers: hear of runs beside the metrics.

    Raises:
        SettingsError: no worker can be warm for a workflow.
        DamagedStoreError: the queue is damaged.
    """
    registry = Registry.from_settings(common, later=True)
    for line in problem_lines(registry.problems):
        _log.warning("%s", line)
    files = common.files(registry.model_places)
    files.check_elsewhere(signed=settings.signed_urls > 0)
    warm = warm_workflows(settings.warm, registry, files)
    store = Store(settings.database or settings.data_dir / "queue.sqlite")
    store.open()
    bus = Bus()
    metrics = Metrics(registry.catalog)
    dispatcher = _open_dispatcher(store, bus, common.preview_method, metrics, observers, settings)
    namer = FileNames(store, patient=bool(settings.database)).answer
    hooks = ServerHooks(namer, metrics, dispatcher.wake, dispatcher.note_model)
    comfyui = comfy_servers(settings, hooks, files.for_owner, lambda: registry.catalog)
    metrics.know_types(comfyui)
    dispatcher.workers.extend(workforce.make(hooks, warm))
    dispatcher.workers.extend(comfyui.workers)
    return Parts(
        settings=common,
        registry=registry,
        files=files,
        store=store,
        bus=bus,
        dispatcher=dispatcher,
        pictures=Pictures(),
        data_dir=settings.data_dir,
        webhooks=_webhooks(settings, store),
        comfyui=comfyui,
    )


def _open_dispatcher(
    store: Store,
    bus: Bus,
    previews: PreviewMethod,
    metrics: Metrics,
    observers: Sequence[Observer],
    settings: ServerSettings,
) -> Dispatcher:
    """Return the dispatcher, which has its place in the fleet if there may be other servers."""
    if not settings.database:
        return Dispatcher(store, bus, previews, metrics, settings.placement, observers)
    from server.fleet.dispatcher import FleetDispatcher
    from server.fleet.joining import join_fleet, seat_of

    dispatcher = FleetDispatcher(store, bus, previews, metrics, settings.placement, observers)
    join_fleet(dispatcher, seat_of(settings))
    return dispatcher


def _webhooks(settings: ServerSettings, store: Store) -> Webhooks:
    """Return the sender of webhooks; a secret is only kept if a host may get any."""
    secret = settings.webhook_secret
    if settings.webhook_hosts and not secret:
        secret = signing.read_or_create_secret(settings.data_dir / "webhook-secret")
    targets, signer = (
        Targets(settings.webhook_hosts),
        signing.Signer(secret or signing.new_secret()),
    )
    return Webhooks(store.deliveries, targets, signer, shared=bool(settings.database))


def _announce(runner: web.AppRunner, host: str, tokens: Tokens) -> None:
    """Print the server's address and the links for logging in."""
    port = runner.addresses[0][1]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    click.echo(url)
    for owner, token in tokens.by_owner.items():
        # Only on a terminal: anywhere else the token would end up in a log.
        shown = quote(token) if sys.stdout.isatty() else "…"
        click.echo(f"log in{f' as {owner}' if owner else ''}: {url}{LOGIN}?token={shown}")


async def _until(stops: Sequence[Signals]) -> None:
    """Wait for one of the signals; the next one then ends the process at once."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in stops:
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
    for number in stops:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
