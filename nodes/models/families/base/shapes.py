"""Read a network's configuration from the shapes of its weights, and from the metadata."""

import json
from collections.abc import Collection, Sequence
from typing import Any, cast

from nodes.models.families.base.errors import MissingWeightsError
from nodes.models.weights.errors import BadMetadataError
from nodes.models.weights.header import Header


def shape_of(header: Header, key: str, part: str) -> tuple[int, ...]:
    """Return a tensor's shape.

    Raises:
        MissingWeightsError: the file does not have it.
    """
    if key not in header:
        raise MissingWeightsError(header.path, part, [f"no {key}"])
    return header.shape(key)


def count(header: Header, pattern: str, *, step: int = 1) -> int:
    """Count the keys `pattern.format(0)`, `pattern.format(step)`, … up to the first gap."""
    number = 0
    while pattern.format(number * step) in header:
        number += 1
    return number


def overrides(header: Header, network: str, entries: Collection[str]) -> dict[str, Any]:
    """Return those entries of a network's configuration that the metadata's `config` has.

    Args:
        header: of the file.
        network: its name there.
        entries: those that the shapes do not tell; all others are ignored.

    Raises:
        BadMetadataError: it is not a JSON object of objects.
    """
    try:
        config: object = json.loads(header.metadata.get("config", "{}"))
    except (ValueError, RecursionError) as error:
        raise BadMetadataError(header.path, "'config' is not JSON") from error
    part = cast("dict[str, object]", config).get(network, {}) if isinstance(config, dict) else None
    if not isinstance(part, dict):
        raise BadMetadataError(header.path, f"'config' has no object {network!r}")
    values = cast("dict[str, Any]", part)
    return {key: value for key, value in values.items() if key in entries}


def preview_rgb(header: Header) -> tuple[tuple[float, ...], ...]:
    """Return the metadata's `preview.rgb`, or an empty table; see `LatentRules.rgb`.

    Raises:
        BadMetadataError: it is not a JSON list of rows of three numbers.
    """
    try:
        rows: object = json.loads(header.metadata.get("preview.rgb", "[]"))
        table = tuple(tuple(float(n) for n in row) for row in cast("list[list[float]]", rows))
    except (ValueError, TypeError, RecursionError) as error:
        raise BadMetadataError(header.path, "'preview.rgb' is not a table of numbers") from error
    if any(len(row) != 3 for row in table):
        raise BadMetadataError(header.path, "'preview.rgb' has rows that are not 3 long")
    return table


def first_in(header: Header, prefixes: Sequence[str], key: str) -> str | None:
    """Return the first of the prefixes under which the file has `key`, if any."""
    return next((prefix for prefix in prefixes if prefix + key in header), None)
