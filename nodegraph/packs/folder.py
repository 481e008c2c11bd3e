"""Packs that lie in a folder instead of being installed: each sub-folder is one."""

import importlib.util
import sys
from pathlib import Path

from nodegraph.errors import NodeGraphError, PackError
from nodegraph.packs.catalog import PackSource


def packs_in(folder: Path) -> tuple[list[PackSource], list[NodeGraphError]]:
    """Return the packs in a folder, by their names, and the problems of its other entries.

    The folder is added to the end of `sys.path`, so installed packs come before them.
    """
    found: list[PackSource] = []
    problems: list[NodeGraphError] = []
    for inner in _folders(folder):
        if not inner.name.isidentifier():
            problems.append(_not_importable(inner))
        elif not (inner / "__init__.py").is_file():
            problems.append(_not_a_package(inner))
        else:
            found.append(PackSource(inner.name, inner.name))
    place = str(folder.absolute())
    if found and place not in sys.path:
        sys.path.append(place)
    problems += [
        _name_taken(folder / pack.name, other)
        for pack in found
        if (other := _shadowing_module(pack, folder))
    ]
    return [pack for pack in found if not _shadowing_module(pack, folder)], problems


def _shadowing_module(pack: PackSource, folder: Path) -> str:
    """Return the module that Python finds in place of a pack; empty if it finds the pack."""
    known = importlib.util.find_spec(pack.module)
    place = known.origin if known and known.origin else ""
    expected = (folder / pack.name / "__init__.py").resolve()
    return "" if not place or Path(place).resolve() == expected else place


def _folders(folder: Path) -> list[Path]:
    """Return the sub-folders that may be packs, in the order of their names."""
    if not folder.is_dir():
        return []
    inner = (path for path in folder.iterdir() if path.is_dir())
    return sorted(path for path in inner if path.name[0] not in "._")


def _not_importable(inner: Path) -> PackError:
    name = "".join(letter if letter.isalnum() else "_" for letter in inner.name)
    hint = f"Rename it, for example to {name!r}."
    return PackError(f"the pack folder {inner} has a name that Python can not import.", hint=hint)


def _name_taken(inner: Path, other: str) -> PackError:
    message = f"the pack folder {inner} has the name of another module, {other}."
    return PackError(message, hint="Rename it; Python finds the other first.")


def _not_a_package(inner: Path) -> PackError:
    hint = "A pack has one; `nodegraph new-pack` makes such a folder."
    return PackError(f"the pack folder {inner} has no __init__.py.", hint=hint)
