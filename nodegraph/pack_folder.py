"""Packs that lie in a folder instead of being installed: each sub-folder is one."""

import sys
from pathlib import Path

from nodegraph.catalog import PackSource
from nodegraph.errors import NodeGraphError, PackError


def packs_in(folder: Path) -> tuple[list[PackSource], list[NodeGraphError]]:
    """The packs in a folder, by their names, and what is wrong with the rest of it.

    From then on their modules can be imported; those that are installed come before them.
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
    return found, problems


def _folders(folder: Path) -> list[Path]:
    """The sub-folders that are there for packs, in the order of their names."""
    if not folder.is_dir():
        return []
    inner = (path for path in folder.iterdir() if path.is_dir())
    return sorted(path for path in inner if path.name[0] not in "._")


def _not_importable(inner: Path) -> PackError:
    name = "".join(letter if letter.isalnum() else "_" for letter in inner.name)
    hint = f"Rename it, for example to {name!r}."
    return PackError(f"the pack folder {inner} has a name that Python can not import.", hint=hint)


def _not_a_package(inner: Path) -> PackError:
    hint = "A pack has one; `nodegraph new-pack` makes such a folder."
    return PackError(f"the pack folder {inner} has no __init__.py.", hint=hint)
