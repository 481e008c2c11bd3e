"""Read another server's `/object_info`, from a file or from the server."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from nodegraph.errors import NodeGraphError, UnknownFileError

SECONDS = 30.0
"""The most seconds that a server may take to answer."""
MOST_BYTES = 256 << 20
"""The largest answer that is read."""
_SCHEMES = ("http://", "https://")


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
