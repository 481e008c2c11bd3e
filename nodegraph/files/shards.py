"""Weights in several files: `name-00001-of-00003.safetensors` and so on, perhaps with an index.

And in several variants, as diffusers names them: `name.fp16.safetensors`.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

INDEX = ".safetensors.index.json"
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})\.safetensors")

_VARIANT = re.compile(r"(.+?)\.(?:fp16|bf16|fp32|non_ema)(-\d{5}-of-\d{5}|\.index)?\.(\w+)$")


def is_shard(name: str) -> bool:
    """Say if a file is one of several shards, by its name."""
    return _SHARD.fullmatch(name) is not None


def shards_of(path: Path) -> list[Path]:
    """Return all the shards that belong to one of them, or to their index, in order.

    The shards that the name counts are listed even if they do not exist, and so are those that an
    index lists if none has its name; a file that is neither shard nor index is listed alone.
    """
    if path.name.endswith(INDEX):
        stem = path.name.removesuffix(INDEX)
        found = sorted(path.parent.glob(f"{_escape_glob(stem)}-*-of-*.safetensors"))
        first = next((file for file in found if is_shard(file.name)), None)
        return shards_of(first) if first else _files_of_index(path) or [path]
    match = _SHARD.fullmatch(path.name)
    if match is None:
        return [path]
    stem, total = match["stem"], match["total"]
    numbers = range(1, int(total) + 1)
    return [path.with_name(f"{stem}-{number:05}-of-{total}.safetensors") for number in numbers]


def one_set(names: Iterable[str]) -> list[str]:
    """Choose one variant of a network's weights: one file, or all the shards of one.

    It is the main variant if that exists, else the one with the shortest name.
    """
    weights = sorted(name for name in names if name.endswith(".safetensors"))
    plain = [name for name in weights if not _VARIANT.search(name)] or weights
    whole = [name for name in plain if not is_shard(name)]
    if whole or not plain:
        return [min(whole, key=len)] if whole else []
    wanted = {file.name for file in shards_of(Path(plain[0]))}
    return [name for name in plain if Path(name).name in wanted]


def _files_of_index(index: Path) -> list[Path]:
    """Return the files beside an index that it lists; empty if it is no index."""
    try:
        found: object = json.loads(index.read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    places = cast("dict[str, Any]", found).get("weight_map") if isinstance(found, dict) else None
    if not isinstance(places, dict):
        return []
    names = {str(name) for name in cast("dict[str, object]", places).values()}
    plain = (name for name in names if name == Path(name).name and name.endswith(".safetensors"))
    return [index.with_name(name) for name in sorted(plain)]


def _escape_glob(stem: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", stem)
