"""Entry points of installed distributions, found without `importlib.metadata`.

That module takes longer to import than `nodegraph --help` may take altogether.
"""

import os
import sys
from collections.abc import Iterator


def entry_points(group: str) -> dict[str, str]:
    """The entry points of a group: `module:attribute` by name.

    As with imports, what comes first on `sys.path` wins.
    """
    return all_entry_points().get(group, {})


def all_entry_points() -> dict[str, dict[str, str]]:
    """Return every group of entry points, by its name; see `entry_points`."""
    found: dict[str, dict[str, str]] = {}
    for folder in sys.path:
        for text in _texts(folder or "."):
            for group, name, value in _entries(text):
                found.setdefault(group, {}).setdefault(name, value)
    return found


def _texts(folder: str) -> Iterator[str]:
    """The `entry_points.txt` of each distribution in a folder of `sys.path`."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - pathlib takes as long as all this
    except OSError:
        return
    for name in names:
        if not name.endswith((".dist-info", ".egg-info")):
            continue
        try:
            with open(f"{folder}/{name}/entry_points.txt", encoding="utf-8") as file:  # noqa: PTH123
                yield file.read()
        except OSError:
            continue


def _entries(text: str) -> Iterator[tuple[str, str, str]]:
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[] ")
        elif "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield section, name.strip(), value.partition("[")[0].strip()
