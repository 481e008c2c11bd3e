"""Read another server's `/object_info`, from a file or from the server."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from nodegraph.errors import NodeGraphError, UnknownFileError
from nodegraph.graph.described_specs import spec_of_entry
from nodegraph.graph.spec import NodeSpec
from nodegraph.packs.registry import Registry

SECONDS = 30.0
"""The most seconds that a server may take to answer."""
MOST_BYTES = 256 << 20
"""The largest answer that is read."""
_SCHEMES = ("http://", "https://")
_NAMED = re.compile(r"([A-Za-z0-9._:-]+)=(.+)", re.ASCII)


class ObjectInfoError(NodeGraphError):
    """A file or server does not describe node types."""

    code = "not_object_info"

    def __init__(self, place: str, why: str) -> None:
        super().__init__(
            f"{place!r} does not describe node types: {why}.",
            hint="A server's address (http://127.0.0.1:8188), or a file with the answer of its"
            " /object_info works.",
        )


def read_object_info(place: str) -> Mapping[str, Mapping[str, Any]]:
    """Read the node types by their names.

    Args:
        place: a file, or the http(s) address of a server or of its `/object_info`.

    Raises:
        UnknownFileError: there is no such file.
        ObjectInfoError: it can not be read, or holds something else.
    """
    text = _fetch(place) if place.startswith(_SCHEMES) else _read(Path(place))
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ObjectInfoError(place, "it is no JSON") from error
    if not isinstance(found, dict) or not found:
        raise ObjectInfoError(place, "it is no JSON object, or an empty one")
    entries = cast("dict[str, object]", found)
    for name, entry in entries.items():
        if not _is_entry(entry):
            raise ObjectInfoError(place, f"{name!r} in it has no inputs and outputs")
    return cast("Mapping[str, Mapping[str, Any]]", entries)


def read_offers(
    places: Iterable[str], native: Mapping[str, NodeSpec]
) -> tuple[dict[str, Registry], dict[str, Mapping[str, Any]]]:
    """Read the node types of ComfyUI servers: by the servers' names, and those that we lack.

    Args:
        places: `PLACE` or `NAME=PLACE`, as `read_object_info` takes them; without a name it is the
            host and port, or the file's name.
        native: our own node types, by name.

    Raises:
        UnknownFileError: there is no such file.
        ObjectInfoError: it can not be read, or holds something else.
    """
    offers: dict[str, Registry] = {}
    further: dict[str, Mapping[str, Any]] = {}
    for text in places:
        named = _NAMED.fullmatch(text)
        name, place = (named[1], named[2]) if named else (_name_of(text), text)
        entries = read_object_info(place)
        specs = (
            spec_of_entry(key, entry, f"comfyui:{name}", native.get(key))
            for key, entry in entries.items()
        )
        offers[name] = Registry.from_specs((spec for spec in specs if spec), name)
        further = {key: entry for key, entry in entries.items() if key not in native} | further
    return offers, further


def _name_of(place: str) -> str:
    """Return the name of a server that was given none, as `nodegraph serve` makes it."""
    if not place.startswith(_SCHEMES):
        return Path(place).name
    parts = urlsplit(place)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    keys = cast("dict[str, object]", entry)
    return isinstance(keys.get("input"), dict) and keys.keys() >= {
        "output",
        "output_name",
        "output_is_list",
        "name",
        "display_name",
        "category",
    }


def _read(path: Path) -> bytes:
    if not path.is_file():
        beside = sorted(str(item) for item in path.parent.glob("*.json"))
        raise UnknownFileError(str(path), f"the folder {path.parent.resolve()}", beside)
    return path.read_bytes()


def _fetch(place: str) -> bytes:
    from http.client import HTTPException
    from urllib.request import urlopen

    address = place.rstrip("/")
    address = address if address.endswith("object_info") else f"{address}/object_info"
    try:
        with urlopen(address, timeout=SECONDS) as answer:
            found = cast("bytes", answer.read(MOST_BYTES + 1))
    except (OSError, HTTPException, ValueError) as error:
        raise ObjectInfoError(address, f"no answer ({error})") from error
    if len(found) > MOST_BYTES:
        raise ObjectInfoError(address, f"the answer has more than {MOST_BYTES >> 20} MiB")
    return found
