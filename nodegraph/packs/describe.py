"""Describe packs on stdout, in a child process: `python -m nodegraph.packs.describe SOURCE`."""

import gc
import json
import os
import select
import signal
import sys
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from tempfile import TemporaryFile
from typing import IO, Any, NoReturn, TextIO

from nodegraph.errors import NodeConflictError, NodeGraphError, PackError
from nodegraph.graph.spec import NodeSpec
from nodegraph.packs.catalog import FORMAT, PackSource, source_from_text
from nodegraph.packs.environment.failures import Failure
from nodegraph.packs.environment.imports import Missing, can_find, missing_imports, noted_imports
from nodegraph.packs.installed import BUILT_IN
from nodegraph.packs.loading import import_named, import_pack, import_types
from nodegraph.packs.snapshot import PackCatalog, as_text

_MOST_PRINTED = 2**16


def describe(source: PackSource) -> PackCatalog:
    """Import a pack and every module of its node types.

    Raises:
        PackError: it has no `PACK`.
        NodeConflictError: two of its node types have one name.
    """
    pack = import_pack(source)
    revisions = {} if source.name == BUILT_IN else source.revisions(pack.modules)
    specs: dict[str, NodeSpec] = {}
    for module in pack.modules:
        for found in import_types(module, source.name):
            spec = replace(found.spec, revision=revisions.get(module, ""))
            other = specs.setdefault(spec.name, spec)
            if other is not spec:
                raise NodeConflictError(spec.name, other.module, module)
    return PackCatalog(
        format=FORMAT,
        digest=source.digest(),
        name=source.name,
        version=pack.version,
        models={folder: tuple(places) for folder, places in pack.models.items()},
        nodes=tuple(specs.values()),
        web=pack.web,
        routes=pack.routes,
        folders=dict(pack.folders),
        left_out=dict(pack.left_out),
        changes_prompts=pack.changes_prompts,
        choices={kind: tuple(names) for kind, names in pack.choices.items()},
    )


def main() -> None:
    """Print the catalog, or why there is none; whatever the pack itself prints goes to stderr."""
    stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if sys.argv[1] == "--serve":
        _serve(stdout)
        return
    with stdout:
        stdout.write(_description(source_from_text(sys.argv[1])))


def _serve(answers: TextIO) -> None:
    """Describe the packs that are named on stdin, a line each, until it ends; only on Linux."""
    jobs = os.fdopen(os.dup(0), encoding="utf-8")
    for line in jobs:
        job: dict[str, Any] = json.loads(line)
        source = source_from_text(job["source"])
        os.environ.update(source.environment)
        with suppress(PackError):  # The pack's own process tells of it.
            for module in source.preload:
                import_named(module, source.name)
        gc.collect()
        gc.freeze()  # Forked processes leave these objects alone, and share their memory.
        answers.write(json.dumps(_in_fork(source, job["patience"], jobs)) + "\n")
        answers.flush()


def _in_fork(source: PackSource, patience: float, jobs: TextIO) -> dict[str, object]:
    """Describe a pack in a fork of this process, and return what it tells and prints."""
    with TemporaryFile() as told, TemporaryFile() as printed:
        child = os.fork()
        if not child:
            _describe_and_exit(source, told, printed)
        ended = os.pidfd_open(child)
        try:
            ready, _, _ = select.select([ended, jobs], [], [], patience)
            if ended not in ready:
                _kill(child)
            _, status = os.waitpid(child, 0)
        finally:
            os.close(ended)
        if jobs in ready:  # Who asks is gone.
            raise SystemExit
        return {
            "late": ended not in ready,
            "told": _text(told),
            "printed": _text(printed, _MOST_PRINTED),
            "code": os.waitstatus_to_exitcode(status),
        }


def _describe_and_exit(source: PackSource, told: IO[bytes], printed: IO[bytes]) -> NoReturn:
    """Describe the pack in this process, as if it had been started for that."""
    code = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
        told.write(_description(source).encode())
        told.flush()
        code = 0
    except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _kill(child: int) -> None:
    """End a process and all that it started."""
    for end in (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            end(child, signal.SIGKILL)


def _text(file: IO[bytes], most: int | None = None) -> str:
    """Return what is in a file; its last bytes if it has more than `most`."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0 if most is None else max(0, length - most))
    return file.read().decode(errors="replace")


def _description(source: PackSource) -> str:
    """Return the pack's catalog as text, or its failure."""
    if source.host:
        resolve_name(source.host)()
    try:
        origin = source.origin()
        with noted_imports(_root(origin)) as noted:
            try:
                catalog = describe(source)
            except NodeGraphError as error:
                return _failure(source, error, noted).as_text()
    except PackError as error:
        return Failure(error.message).as_text()
    without = (name for name in noted if name not in source.provided and not can_find(name))
    return as_text(replace(catalog, without=tuple(without)))


def _failure(source: PackSource, error: NodeGraphError, noted: Missing) -> Failure:
    """Return the failure; all missing packages at once, those of failed imports first."""
    certain = missing_imports(source.origin(), source.provided)
    missing = {
        name: place
        for name, place in {**noted, **certain}.items()
        if name not in source.provided and not can_find(name)
    }
    cause = error.__cause__
    says_it_all = isinstance(cause, ModuleNotFoundError) and cause.name in missing
    return Failure("" if says_it_all else error.message, missing)


def _root(origin: Path) -> Path:
    return origin.parent if origin.name == "__init__.py" else origin


if __name__ == "__main__":
    main()
