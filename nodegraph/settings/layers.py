"""The sources of settings: the file, the environment and flags, each as flat keys.

A key of a table has a dot in it: `server.port`.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin

from nodegraph.errors import SettingsError
from nodegraph.files.objects.address import ObjectAddress, Place, is_address, read_address
from nodegraph.settings.server import EVERYWHERE

FILE = "nodegraph.toml"
PREFIX = "NODEGRAPH_"
FILE_VARIABLE = "NODEGRAPH_CONFIG"
ENVIRONMENT = "the environment"
TABLES = ("server", "server.ray")
"""Tables whose keys are settings; other tables are values."""
_HERE = Path()
_FOLDERS: object = tuple[Path, ...]
_PLACES: object = tuple[Place, ...]
_FOLDERS_BY_NAME = Mapping[str, tuple[Path, ...]]
_NAMES = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """The settings from one place."""

    where: str
    values: Mapping[str, object]

    def spelling(self, key: str) -> str:
        """Return a key as it is written in that place."""
        return variable(key) if self.where == ENVIRONMENT else key


FLAGS = "a flag"


def variable(key: str) -> str:
    """Return the environment variable of a key."""
    return PREFIX + key.replace(".", "_").upper()


def types_of(settings: type[Any], table: str = "") -> dict[str, object]:
    """Return the type of each key of a dataclass of settings, without `| None` and `Annotated`."""
    types: dict[str, object] = {}
    for item in fields(settings):
        if is_dataclass(item.type):
            types |= types_of(cast("type[Any]", item.type), f"{table}{item.name}.")
        else:
            types[table + item.name] = _bare(item.type)
    return types


def from_flags(flags: Mapping[str, object], types: Mapping[str, object]) -> Layer:
    """Read the settings from flags; `types` as from `types_of`.

    None and empty values count as not given.
    """
    values = {key: value for key, value in _flat(flags) if value not in (None, (), [], {})}
    return Layer(FLAGS, {key: _resolve(value, types.get(key)) for key, value in values.items()})


def from_environment(environment: Mapping[str, str], types: Mapping[str, object]) -> Layer:
    """Read the settings from variables that begin with `PREFIX`; `types` as from `types_of`."""
    values = {
        _key(name): text
        for name, text in environment.items()
        if name.startswith(PREFIX) and name != FILE_VARIABLE and text
    }
    return Layer(ENVIRONMENT, {key: _parse(text, types.get(key)) for key, text in values.items()})


def from_file(environment: Mapping[str, str], types: Mapping[str, object]) -> Layer:
    """Read `nodegraph.toml`, or the file that `FILE_VARIABLE` names; `types` as from `types_of`.

    Raises:
        SettingsError: it is no TOML or no file, or the one that is named is not there.
    """
    named = environment.get(FILE_VARIABLE)
    path = Path(named or FILE)
    if not named and not path.exists():
        return Layer(FILE, {})
    if path.is_dir():
        message = f"The settings file {path} is a folder."
        raise SettingsError(message, hint=f"Rename it, or name a file in {FILE_VARIABLE}.")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError, tomllib.TOMLDecodeError) as error:
        message = f"{path} cannot be read: {error}."
        raise SettingsError(message) from error
    placed = {key: _resolve(value, types.get(key), path.parent) for key, value in _flat(values)}
    return Layer(str(path), placed)


def nest(values: Mapping[str, object]) -> dict[str, object]:
    """Turn flat keys into nested tables."""
    tree: dict[str, object] = {}
    for key, value in values.items():
        *tables, name = key.split(".")
        inside = tree
        for table in tables:
            inside = cast("dict[str, object]", inside.setdefault(table, {}))
        inside[name] = value
    return tree


def pair(text: str) -> tuple[str, str]:
    """`room=level`, or a level alone for every room."""
    room, told, level = text.partition("=")
    return (room, level) if told else (EVERYWHERE, room)


def _flat(values: Mapping[str, object], table: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        key = table + name
        if key in TABLES and isinstance(value, dict):
            yield from _flat(cast("dict[str, object]", value), f"{key}.")
        else:
            yield key, value


def _key(name: str) -> str:
    key = name.removeprefix(PREFIX).lower()
    for table in reversed(TABLES):  # those inside of others come later
        inside = key.removeprefix(f"{table.replace('.', '_')}_")
        if inside and inside != key:
            return f"{table}.{inside}"
    return key


def _bare(hint: object) -> object:
    if get_origin(hint) is Annotated:
        return _bare(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        others = [part for part in get_args(hint) if part is not NoneType]
        return _bare(others[0]) if len(others) == 1 else hint
    return hint


def _parse(text: str, wanted: object) -> object:
    """An environment variable's text: lists are separated as PATH is, or by commas."""
    if _are_paths(wanted):
        return _paths(_split_paths(text))
    if wanted == _NAMES:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if get_origin(wanted) is Mapping and wanted != _FOLDERS_BY_NAME:
        return dict(pair(part.strip()) for part in text.split(",") if part.strip())
    return _resolve(text, wanted)


def _resolve(value: object, wanted: object, folder: Path = _HERE) -> object:
    """Return a value with `~` in its paths expanded, and relative ones below a folder."""
    if _are_paths(wanted):
        return _paths(value, folder)
    if wanted == _FOLDERS_BY_NAME and isinstance(value, dict):
        given = cast("dict[str, object]", value)
        return {name: _paths(places, folder) for name, places in given.items()}
    if wanted == Place and is_address(value):
        return read_address(str(value))
    if wanted in (Path, Place) and isinstance(value, str | Path):
        return folder / _expand(value)
    return value


def _are_paths(wanted: object) -> bool:
    return wanted in (_FOLDERS, _PLACES)


def _split_paths(text: str) -> list[str]:
    """Split a text as PATH is split, but not the addresses in it."""
    parts: list[str] = []
    for part in text.split(os.pathsep):
        if parts and part.startswith("//") and parts[-1].isalnum():
            parts[-1] += os.pathsep + part
        else:
            parts.append(part)
    return [part for part in parts if part]


def _paths(value: object, folder: Path = _HERE) -> object:
    """Return one path or several as a tuple; anything else as it is, to be refused later."""
    items = cast("Sequence[object]", value if isinstance(value, list | tuple) else [value])
    if not all(isinstance(item, str | Path | ObjectAddress) for item in items):
        return items
    return tuple(
        read_address(str(item)) if is_address(str(item)) else folder / _expand(str(item))
        for item in items
    )


def _expand(path: str | Path) -> Path:
    """Return a path with `~` or `~name` at its start replaced by that person's home.

    Raises:
        SettingsError: nobody has that name.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        message = f"the path {str(path)!r} begins in the home of somebody who is not known."
        raise SettingsError(message) from error
