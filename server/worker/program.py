"""Takes orders one after the other; each run has a thread."""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nodegraph.engine import Engine
from nodegraph.installed import BUILT_IN
from nodegraph.pack_server import OFFERED
from nodegraph.registry import Registry
from nodegraph.settings import Settings
from server import logs
from server.wire import Channel, Frame
from server.worker.cache_reports import CacheReports
from server.worker.device import describe_device, machine
from server.worker.log import ToServer
from server.worker.naming import StoreNaming
from server.worker.pack_site import PackMessages, serve_pack_routes
from server.worker.runs import Runs


def serve(channel: Channel) -> None:
    """Do what the server says until it is gone; then end the process at once.

    Files are written whole or not at all, so there is nothing to finish.
    """
    first = channel.receive()
    if first is not None:
        _serve(channel, first.body)
    os._exit(0)


def _serve(channel: Channel, options: Mapping[str, Any]) -> None:
    logs.receive(ToServer(channel), options["log_levels"])
    settings = Settings.read(_flags(options["flags"]))
    registry = Registry.configured(settings)
    naming = StoreNaming(channel)
    files = settings.files(registry.model_places).with_naming(naming)
    engine = Engine.configured(settings, registry, files)
    reports = CacheReports(engine.cache, channel)
    runs = Runs(engine, channel, naming.forget, reports)
    OFFERED.tell = PackMessages(channel).tell
    reports.send()
    channel.send({"op": "ready", "device": machine(), "pid": os.getpid()})
    if any(pack.name == BUILT_IN for pack in registry.packs):
        threading.Thread(target=_describe, args=(channel,), daemon=True).start()
    while (frame := channel.receive()) is not None:
        if frame.body["op"] == "open":
            serve_pack_routes(registry, Path(frame.body["path"]), channel)
        else:
            _obey(frame, runs, naming)


def _describe(channel: Channel) -> None:
    """Import torch, which most runs need, while the first may already be under way."""
    channel.send({"op": "device", "device": describe_device()})


def _obey(frame: Frame, runs: Runs, naming: StoreNaming) -> None:
    body = frame.body
    match body["op"]:
        case "run":
            runs.start(body)
        case "cancel":
            runs.cancel(body["run"])
        case "look":
            runs.set_looked_at(body["run"], body["looked_at"])
        case "named":
            naming.answer(body)
        case "free":
            runs.free()
        case "reload":
            runs.reload()
        case unknown:
            message = f"the server says {unknown!r}, which means nothing"
            raise ValueError(message)


def _flags(values: Mapping[str, Any]) -> dict[str, object]:
    """Settings as JSON carries them, as the command line gives them."""
    return {
        name: tuple(map(Path, value)) if isinstance(value, list) else value  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        for name, value in values.items()
    }
