"""The environments that `packs.toml` names: for each of these packs, a venv of its own."""

import sys
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodegraph.errors import PackError, nearest

FILE = "packs.toml"
_TABLE = "environments"


@dataclass(frozen=True, slots=True)
class Venv:
    """A pack's own environment."""

    python: str
    """Its Python program."""
    state: str
    """A text that changes when packages are installed there, or removed."""


def venvs_of(folder: Path, packs: Collection[str]) -> tuple[dict[str, Venv], list[PackError]]:
    """Return the environments that the file in the packs' folder names, by pack, and its problems.

    Args:
        folder: holds the packs, and `packs.toml`.
        packs: the names of the packs that are there.
    """
    file = folder / FILE
    try:
        table: Any = tomllib.loads(file.read_text(encoding="utf-8")).get(_TABLE, {})
        places: dict[str, str] = {str(name): str(place) for name, place in table.items()}
    except FileNotFoundError:
        return {}, []
    except (OSError, ValueError, AttributeError) as error:
        hint = f"Write: [{_TABLE}], and below it lines such as 'the-pack = \"/the/venv\"'."
        return {}, [PackError(f"{file} can not be read: {error}.", hint=hint)]
    found: dict[str, Venv] = {}
    problems: list[PackError] = []
    for written, place in places.items():
        name = written.replace(".", "_")
        try:
            found[name] = _venv(name, packs, (folder / Path(place).expanduser()).absolute())
        except PackError as error:
            error.details = {"pack": name}
            problems.append(error)
    return found, problems


def _venv(pack: str, packs: Collection[str], place: Path) -> Venv:
    """Return the venv in a folder.

    Raises:
        PackError: there is no such pack or venv, or its Python is another one.
    """
    if pack not in packs:
        message = f"{FILE} names the pack {pack!r}, which is not there."
        raise PackError(message, hint=nearest(pack, packs))
    python = next(
        (p for p in (place / "bin/python", place / "Scripts/python.exe") if p.exists()), None
    )
    make = f"To make one: {sys.executable} -m venv {place}"
    if python is None:
        message = f"the environment of the pack {pack!r} is not at {place}."
        raise PackError(message, hint=make)
    version = _version(place / "pyvenv.cfg")
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version != own:
        message = (
            f"the environment of the pack {pack!r} has Python {version or '?'}, nodegraph {own}."
        )
        hint = f"It shares nodegraph's packages, so it has to be the same. {make}"
        raise PackError(message, hint=hint)
    sites = sorted([*place.glob("lib/python*/site-packages"), *place.glob("Lib/site-packages")])
    state = "".join(f"{site} {site.stat().st_mtime_ns}\n" for site in sites)
    return Venv(str(python), f"{python}\n{state}")


def _version(file: Path) -> str:
    """Return the version in a venv's configuration, as `3.11`; empty if there is none."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ""
    pairs = (line.partition("=") for line in lines)
    known = {name.strip(): value.strip() for name, _, value in pairs}
    return ".".join((known.get("version") or known.get("version_info", "")).split(".")[:2])
