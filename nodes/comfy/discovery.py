"""Discovery of packs for ComfyUI in their folder: each is a sub-folder or a file."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from nodegraph.errors import NodeGraphError, PackError
from nodegraph.files.objects.address import Place
from nodegraph.packs.catalog import PackSource
from nodegraph.packs.routes import PackServer
from nodegraph.settings.settings import Settings
from nodes.comfy.host_modules import HOST_PACKAGES
from nodes.comfy.import_hook import PACKAGE, install
from nodes.comfy.values.runtime import PackEnvironment
from nodes.comfy.venvs import venvs_of

HOST = "nodes.comfy.discovery:prepare"
_PRELOAD = ("nodes.comfy.declare", "nodes.comfy.torch_guard", "nodes.comfy.host.folder_paths")
"""Modules that take long to import, for they import torch."""
_PASSED = ("models_dir", "input_dir", "output_dir", "temp_dir", "cache_dir", "custom_nodes_dir")
_SMALL = 65_536
"""The most bytes of a data file that counts by its content."""
_SKIPPED = ("__pycache__", ".git", "node_modules", ".venv", "venv")


def packs_in(
    settings: Settings, server: PackServer
) -> tuple[list[PackSource], list[NodeGraphError]]:
    """Find the packs in the folder and make them importable.

    Args:
        settings: name the folder, and those that packs read and write.
        server: gets the packs' routes and messages.
    """
    folder = settings.custom_nodes_dir.absolute()
    found: dict[str, Path] = {}
    problems: list[NodeGraphError] = []
    for item in _items(folder):
        place = item / "__init__.py" if item.is_dir() else item
        name = item.name if item.is_dir() else item.stem
        if place.is_file():
            found[name.replace(".", "_")] = place
        else:
            problems.append(_no_pack(item))
    venvs, more = venvs_of(folder, found)
    problems += more
    readers = _readers()
    environment = _environment(settings)
    sources = [
        PackSource(
            name,
            f"{PACKAGE}.{name}",
            place,
            HOST,
            environment,
            salt=readers + _data(place) + (venvs[name].state if name in venvs else ""),
            provided=HOST_PACKAGES,
            preload=() if name in venvs else _PRELOAD,
            python=venvs[name].python if name in venvs else "",
        )
        for name, place in sorted(found.items())
        if not any(problem.details.get("pack") == name for problem in more)
    ]
    if sources:
        apart = {each.name: each for each in sources if each.python}
        prepare(settings, server, apart, _packs_to_share(sources, settings))
    return sources, problems


def _packs_to_share(sources: list[PackSource], settings: Settings) -> dict[str, PackSource]:
    """Return the packs that the settings name and that have no environment of their own."""
    named = (each for each in sources if settings.packs is None or each.name in settings.packs)
    return {each.name: each for each in named if not each.python}


def prepare(
    settings: Settings | None = None,
    server: PackServer | None = None,
    apart: Mapping[str, PackSource] | None = None,
    packs: Mapping[str, PackSource] | None = None,
) -> None:
    """Make the packs importable by the names `custom_nodes.…`.

    Args:
        settings: those of this process if None.
        server: gets the packs' routes and messages; one that reaches nobody if None.
        apart: the packs that run in environments of their own, by name; none if None.
        packs: those whose classes the others may use, by name; none if None.
    """
    settings, server = settings or Settings.read(), server or PackServer()
    install(PackEnvironment(settings, server, apart or {}, packs=dict(packs or {})))


def _items(folder: Path) -> list[Path]:
    """Return the items to load, by name; without disabled ones, as in ComfyUI."""
    items = (path for path in folder.iterdir() if path.is_dir() or path.suffix == ".py")
    wanted = (path for path in items if path.name[0] not in "._")
    return sorted(path for path in wanted if not path.name.endswith(".disabled"))


def _no_pack(item: Path) -> PackError:
    hint = "A pack for ComfyUI has one; move the folder elsewhere."
    message = f"the folder {item} has no __init__.py."
    return PackError(message, hint=hint, details={"pack": item.name})


def _environment(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Return the settings that a pack may read, for the process that describes it."""

    def text(name: str) -> str:
        value: Place | tuple[Place, ...] = getattr(settings, name)
        places = value if isinstance(value, tuple) else (value,)
        return os.pathsep.join(
            str(place.absolute() if isinstance(place, Path) else place) for place in places
        )

    return tuple((f"NODEGRAPH_{name.upper()}", text(name)) for name in _PASSED)


def _readers() -> str:
    """Return a hash of the code that reads packs' declarations."""
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()


def _data(place: Path) -> str:
    """Return a hash of a pack's data files, from which many packs build lists of choices.

    Small ones count by their content: some packs write their settings anew whenever they are
    imported.
    """
    if place.name != "__init__.py":
        return ""
    total = hashlib.sha256()
    for path in _others(place.parent):
        found = path.stat()
        is_small = found.st_size <= _SMALL
        state = path.read_bytes() if is_small else str(found.st_mtime_ns).encode()
        total.update(f"{path} {found.st_size}\n".encode() + state)
    return total.hexdigest()


def _others(folder: Path) -> Iterator[Path]:
    for directory, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if name not in _SKIPPED)
        paths = (Path(directory) / name for name in sorted(files))
        yield from (path for path in paths if path.suffix not in (".py", ".pyc") and path.is_file())
