"""The main loop of a worker process, which ends with its parent."""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nodegraph.execution.engine import Engine
from nodegraph.files.file_names import Naming
from nodegraph.packs.installed import BUILT_IN
from nodegraph.packs.registry import Registry
from nodegraph.packs.routes import PackServer
from nodegraph.settings.settings import Settings
from server.observability import logs
from server.worker_process.device import describe_device, machine
from server.worker_process.file_numbers import StoreNaming
from server.worker_process.pack_site import PackMessages, serve_pack_routes
from server.worker_process.questions import Answers
from server.worker_process.reports import CacheReports, ToServer
from server.worker_process.runs import Runs
from server.worker_process.warm_up import WarmUp
from server.workers.wire import Channel, Frame

_LONGEST_END = 60.0
"""Seconds that runs may take to end which nobody waits for any more."""
_STUCK_EXIT = 6
"""The exit code of a worker one of whose runs did not end then."""


def serve(channel: Channel) -> None:
    """Obey the server until it is gone, then end the process at once.

    Files are written whole or not at all, so nothing has to be finished.
    """
    first = channel.receive()
    if first is not None:
        _serve(channel, first.body)
    os._exit(0)


def _serve(channel: Channel, options: Mapping[str, Any]) -> None:
    logs.receive(ToServer(channel), options["log_levels"])
    naming = StoreNaming(channel)
    messages = PackMessages(channel)
    server = PackServer(messages.tell)
    engine = open_engine(options["flags"], naming, server)
    registry = engine.registry
    reports = CacheReports(engine, channel)
    runs = Runs(engine, channel, naming.forget, server.clients, reports)
    answers = Answers(engine, server, messages, channel)

    has_begun = threading.Event()

    def begin() -> None:
        has_begun.set()
        reports.send()
        channel.send({"op": "ready", "device": machine(), "pid": os.getpid()})
        if any(pack.name == BUILT_IN for pack in registry.packs):
            threading.Thread(target=_describe, args=(channel,), daemon=True).start()

    _warm_up(engine, options, runs, begin)
    while (frame := channel.receive()) is not None:
        if frame.body["op"] == "open":
            serve_pack_routes(registry, server, Path(frame.body["path"]), channel)
        elif frame.body["op"] == "ask":
            answers.give(frame.body)
        elif frame.body["op"] == "abandon":
            _abandon(runs, naming, begin if has_begun.is_set() else None)
        else:
            _obey(frame, runs, naming)


def open_engine(
    flags: Mapping[str, object], naming: Naming, server: PackServer | None = None
) -> Engine:
    """Return the engine that a worker runs graphs with.

    Args:
        flags: what the server is told, also as JSON; overrules the file and the environment.
        naming: remembers the numbers of saved files.
        server: gets packs' routes and messages; one that reaches nobody if None.

    Raises:
        SettingsError: a setting has no meaning.
    """
    settings = Settings.read(flags)
    registry = Registry.from_settings(settings, server, later=True)
    files = replace(settings.files(registry.model_places), naming=naming)
    return Engine.from_settings(settings, registry, files)


def _describe(channel: Channel) -> None:
    """Import torch and send the device to the server, while the first run may already start."""
    channel.send({"op": "device", "device": describe_device()})


def _warm_up(
    engine: Engine, options: Mapping[str, Any], runs: Runs, then: Callable[[], None]
) -> None:
    """Run the workflows that come before all others, and call `then` afterwards."""
    if options.get("warm"):
        warm_up = WarmUp(engine, options["warm"], keep=options["keep"], used=runs.report_model)
        warm_up.start(then=then)
    else:
        then()


def _abandon(runs: Runs, naming: StoreNaming, begin: Callable[[], None] | None) -> None:
    """Give up the runs of a server that is gone, then begin with the next; caches are kept.

    If a run does not end, the process does: the next server may repeat that run here.

    Args:
        runs: all runs are of the server that is gone.
        naming: no file of theirs gets a name any more.
        begin: tells the next server; None if the process is about to begin, and has no run.
    """
    if begin is None:
        return

    def settle() -> None:
        if not runs.abandon(_LONGEST_END):
            os._exit(_STUCK_EXIT)
        naming.resume()
        begin()

    naming.abandon()
    threading.Thread(target=settle, name="abandon", daemon=True).start()


def _obey(frame: Frame, runs: Runs, naming: StoreNaming) -> None:
    body = frame.body
    match body["op"]:
        case "run":
            runs.start(body)
        case "cancel":
            runs.cancel(body["run"])
        case "look":
            runs.set_watched(body["run"], body["looked_at"])
        case "expect":
            runs.expect(body["prompt"])
        case "named":
            naming.answer(body)
        case "free":
            runs.free()
        case "reload":
            runs.reload()
        case unknown:
            message = f"unknown message {unknown!r} from the server"
            raise ValueError(message)
