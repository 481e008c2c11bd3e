"""The catalog snapshot: a pack's node types, known without importing the pack.

A pack may ship its snapshot (`catalog.json` in its package); otherwise one is kept in the
user's cache folder. Either counts only while it fits the pack's source files; when it does
not, a child process imports the pack and describes it anew.

`python -m nodegraph.packs.catalog` writes the snapshot that ships with the built-in pack.
"""

import hashlib
import importlib.util
import json
import logging
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nodegraph.errors import PackError
from nodegraph.packs.environment.failures import Failure, failure_in, refusal_of, remember
from nodegraph.packs.snapshot import PackCatalog, as_text, from_text
from nodegraph.runtime.choices import PATIENCE

FORMAT = 1
SHIPPED = "catalog.json"
OWN_PATIENCE = 600.0
"""The most seconds for the built-in pack, without which nothing works."""
_KEPT = 4
_DIGITS = 16
_READERS = (
    "definition/dynamic.py",
    "definition/node.py",
    "definition/markers.py",
    "definition/signature.py",
    "packs/snapshot.py",
    "graph/sockets.py",
    "graph/spec.py",
)
_PYTHONS_OWN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
_OWN_FIRST = (
    "from importlib.machinery import PathFinder as paths; "
    "find = lambda name, *_: paths.find_spec(name, [{!r}]) if name in "
    "('nodegraph', 'nodes', 'server') else None; "
    "sys.meta_path.insert(0, type('Own', (), {{'find_spec': staticmethod(find)}}))"
)
"""Code that has this project's packages found in one folder, whatever else is installed."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PackSource:
    """An installed pack: the name of its entry point, and the module that holds its `PACK`."""

    name: str
    module: str
    place: Path | None = None
    """The module's file, where Python alone would not find it."""
    host: str = ""
    """`module:function`: must be called before the module can be imported."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables that the host reads its settings from."""
    salt: str = ""
    """Further text that its specs depend on."""
    provided: tuple[str, ...] = ()
    """The top-level modules that the host gives it."""
    preload: tuple[str, ...] = ()
    """Modules that all packs of the host need and that take long to import."""
    python: str = ""
    """The Python of its own environment; that of this process if empty."""

    def as_text(self) -> str:
        """Return it as JSON, for the process that describes the pack."""
        return json.dumps(asdict(self), default=str)

    @property
    def folder(self) -> Path | None:
        """Return the pack's own folder; None if it is a single file, or not there."""
        try:
            origin = self.origin()
        except PackError:
            return None
        return origin.parent if origin.name == "__init__.py" else None

    def origin(self) -> Path:
        """Return the file of the pack's module, found without importing it.

        Raises:
            PackError: there is none.
        """
        if self.place is not None:
            return self.place
        try:
            found = importlib.util.find_spec(self.module)
        except (ImportError, ValueError) as error:
            message = f"the pack {self.name!r} cannot be found: {error}."
            raise PackError(message) from error
        if found is None or not found.origin or not Path(found.origin).is_file():
            message = (
                f"The pack {self.name!r} names the module {self.module!r}, which is not there."
            )
            raise PackError(message, hint="Install the pack again.")
        return Path(found.origin)

    def digest(self) -> str:
        """Hash everything that the pack's specs can depend on."""
        total = hashlib.sha256(f"{FORMAT} {self.name} {self.module}{self.salt}".encode())
        for label, path in self._sources():
            total.update(f"\n{label}\n".encode())
            total.update(path.read_bytes().replace(b"\r\n", b"\n"))
        return total.hexdigest()

    def revisions(self, modules: Collection[str]) -> dict[str, str]:
        """Hash each module of node types: its own file, and all files without node types."""
        shared = hashlib.sha256()
        own: dict[str, bytes] = {}
        for label, path in self._files():
            name = self._module_of(label)
            if name in modules:
                own[name] = path.read_bytes()
            else:
                shared.update(f"\n{label}\n".encode() + path.read_bytes())
        ends = {
            name: hashlib.sha256(shared.digest() + text).hexdigest() for name, text in own.items()
        }
        return {name: end[:_DIGITS] for name, end in ends.items()}

    def _module_of(self, label: str) -> str:
        """Return the name of the module in a file of the pack."""
        parts = label.removesuffix(".py").removesuffix("__init__").strip("/").replace("/", ".")
        return f"{self.module}.{parts}" if parts and self._is_package else self.module

    @property
    def _is_package(self) -> bool:
        return self.origin().name == "__init__.py"

    def _sources(self) -> Iterator[tuple[str, Path]]:
        here = Path(__file__).parents[1]
        yield from ((name, here / name) for name in _READERS)
        yield from self._files()

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Yield the pack's own source files."""
        origin = self.origin()
        if origin.name != "__init__.py":
            yield origin.name, origin
            return
        files = {path.relative_to(origin.parent): path for path in origin.parent.rglob("*.py")}
        yield from ((name.as_posix(), files[name]) for name in sorted(files))


def source_from_text(text: str) -> PackSource:
    """Read what `PackSource.as_text` wrote."""
    data: dict[str, Any] = json.loads(text)
    place = data.pop("place")
    pairs = tuple((str(key), str(value)) for key, value in data.pop("environment"))
    lists = {key: tuple(data.pop(key)) for key in ("provided", "preload")}
    return PackSource(place=Path(place) if place else None, environment=pairs, **lists, **data)


def remembered_catalog(
    pack: PackSource, cache: Path, patience: float = PATIENCE
) -> PackCatalog | None:
    """Return the pack's snapshot that fits its files: shipped or cached; None if there is none.

    Raises:
        PackError: the pack cannot be found; or it could not be described, and neither its files nor
            the installed packages nor the patience have changed since.
    """
    digest = pack.digest()
    kept = _place(pack, cache, digest)
    for path in (pack.origin().parent / SHIPPED, kept):
        catalog = _read(path)
        if (
            catalog
            and (catalog.name, catalog.digest) == (pack.name, digest)
            and _is_whole(catalog, pack)
        ):
            return catalog
    error = refusal_of(_refusal(kept, patience))
    if error:
        raise error
    return None


def read_catalog(
    pack: PackSource,
    cache: Path,
    patience: float = PATIENCE,
    describe: Callable[[PackSource, float], PackCatalog] | None = None,
) -> PackCatalog:
    """Return the pack's snapshot: shipped, cached, or made now.

    A pack that could not be described is not tried again, by no process, until its files, the
    installed packages or the patience change. One that went on without a package is described
    anew once the package is there.

    Args:
        pack: the pack.
        cache: the folder for snapshots.
        patience: the most seconds that its import may take.
        describe: makes a snapshot; `describe_apart` if None.

    Raises:
        PackError: the pack cannot be found, cannot be imported, or takes more than `patience`
            seconds for that.
    """
    found = remembered_catalog(pack, cache, patience)
    if found:
        return found
    _log.info("Reading the pack %r anew.", pack.name)
    kept = _place(pack, cache, pack.digest())
    try:
        catalog = (describe or describe_apart)(pack, patience)
    except PackError as error:
        with suppress(OSError):
            remember(_refusal(kept, patience), error)
        raise
    with suppress(OSError):
        _keep(kept, catalog, pack.name)
    return catalog


def _place(pack: PackSource, cache: Path, digest: str) -> Path:
    return cache / "packs" / f"{pack.name}-{digest[:_DIGITS]}.json"


def _refusal(kept: Path, patience: float) -> Path:
    return kept.with_suffix(f".{patience:g}s.refused")


def describe_apart(pack: PackSource, patience: float = PATIENCE) -> PackCatalog:
    """Import the pack in a child process, and have it describe itself.

    Raises:
        PackError: it cannot be imported, or takes more than `patience` seconds.
    """
    import signal  # Imported here, for most starts do not need it.
    import subprocess
    import sys

    module = "nodegraph.packs.describe"
    run = f"import runpy; runpy.run_module({module!r}, run_name='__main__')"
    command = [sys.executable, "-m", module, pack.as_text()]
    child = subprocess.Popen(
        overlay_command(pack, run) if pack.python else command,
        env=overlay_environment(pack) if pack.python else _environment(pack),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with child:
        try:
            told, complained = child.communicate(timeout=patience)
        except subprocess.TimeoutExpired as error:
            os.killpg(child.pid, signal.SIGKILL)  # with whatever it has started itself
            raise too_slow(pack, patience) from error
    return catalog_from(pack, told, complained.decode(errors="replace"), child.returncode)


def child_environment() -> dict[str, str]:
    """Return the variables of a process that imports what this one does."""
    import sys

    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONSAFEPATH": "1"}


def _environment(pack: PackSource) -> dict[str, str]:
    return child_environment() | dict(pack.environment)


def overlay_command(pack: PackSource, code: str) -> list[str]:
    """Return the command that runs code in a pack's own environment, with this one's behind it.

    Its packages come first, and what it has not comes from here; nodegraph itself always does.
    `sys.argv[1]` is the pack.
    """
    import sys

    paths = [path for path in sys.path if path]
    own = str(Path(__file__).parents[2])
    start = f"import sys; sys.path.extend({paths!r}); {_OWN_FIRST.format(own)}; {code}"
    return [pack.python, "-c", start, pack.as_text()]


def overlay_environment(pack: PackSource) -> dict[str, str]:
    """Return the variables of a process in a pack's own environment."""
    kept = {name: value for name, value in os.environ.items() if name not in _PYTHONS_OWN}
    return {**kept, **dict(pack.environment), "PYTHONSAFEPATH": "1"}


def too_slow(pack: PackSource, patience: float) -> PackError:
    """Return the error of a pack whose import took too long."""
    message = f"the pack {pack.name!r} took more than {patience:g} s to import."
    hint = (
        "It is left out, and tried again when its files or the installed packages change; "
        "`pack_patience` in the settings is how long it may take."
    )
    return PackError(message, hint=hint)


def catalog_from(pack: PackSource, told: bytes, printed: str, code: int) -> PackCatalog:
    """Return the catalog that a process told of.

    Args:
        pack: the pack that it imported.
        told: its answer.
        printed: what it printed, or the pack did.
        code: its exit code, or the negative number of the signal that ended it.

    Raises:
        PackError: it could not import the pack.
    """
    said = printed.strip()
    if said:
        _log.debug("The pack %r printed: %s", pack.name, said)
    try:
        return from_text(told)
    except ValueError:
        failure = failure_in(told) or Failure(_exit_reason(code))
    from nodegraph.packs.environment.advice import left_out  # Here: most starts do without.

    raise left_out(pack.name, failure, pack.folder, said, pack.python)


def _is_whole(catalog: PackCatalog, pack: PackSource) -> bool:
    """Return False if a package has come since without which the pack was described."""
    if not catalog.without or pack.python:
        return True
    from nodegraph.packs.environment.imports import can_find  # Here: most packs lack nothing.

    return not any(can_find(module) for module in catalog.without)


def _exit_reason(code: int) -> str:
    """Describe how a process ended that printed no catalog: its code or signal."""
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"its import ended without a result, with {how}."


def _read(path: Path) -> PackCatalog | None:
    """Read a snapshot from a file; None if there is none, or it is not a snapshot."""
    try:
        return from_text(path.read_bytes())
    except (OSError, ValueError):
        return None


def _keep(path: Path, catalog: PackCatalog, name: str) -> None:
    """Cache a snapshot atomically, and delete all but the last few of the pack."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(as_text(catalog), encoding="utf-8")
    part.replace(path)
    kept = sorted(
        path.parent.glob(f"{name}-{'?' * _DIGITS}.json"), key=lambda item: item.stat().st_mtime_ns
    )
    for old in kept[:-_KEPT]:
        old.unlink(missing_ok=True)


def main() -> None:
    """Write the snapshot that ships with the built-in pack."""
    pack = PackSource("nodes", "nodes")
    catalog = describe_apart(pack, OWN_PATIENCE)
    path = pack.origin().parent / SHIPPED
    path.write_text(as_text(catalog), encoding="utf-8")


if __name__ == "__main__":
    main()
