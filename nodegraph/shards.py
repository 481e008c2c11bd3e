"""Weights in several files: `name-00001-of-00003.safetensors` and so on, perhaps with an index.

And in several variants, as diffusers names them: `name.fp16.safetensors`.
"""

import re
from collections.abc import Iterable
from pathlib import Path

INDEX = ".safetensors.index.json"
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})\.safetensors")

_VARIANT = re.compile(r"(.+?)\.(?:fp16|bf16|fp32|non_ema)(-\d{5}-of-\d{5}|\.index)?\.(\w+)$")


def is_shard(name: str) -> bool:
    """Whether a file's name says that it is one of several."""
    return _SHARD.fullmatch(name) is not None


def shards_of(path: Path) -> list[Path]:
    """All the files that belong to one of them, or to their index, in order.

    Those that its name promises, whether they are there or not; the file alone if it is neither.
    """
    if path.name.endswith(INDEX):
        stem = path.name.removesuffix(INDEX)
        found = sorted(path.parent.glob(f"{_escaped(stem)}-*-of-*.safetensors"))
        first = next((file for file in found if is_shard(file.name)), None)
        return shards_of(first) if first else [path]
    match = _SHARD.fullmatch(path.name)
    if match is None:
        return [path]
    stem, total = match["stem"], match["total"]
    numbers = range(1, int(total) + 1)
    return [path.with_name(f"{stem}-{number:05}-of-{total}.safetensors") for number in numbers]


def one_set(names: Iterable[str]) -> list[str]:
    """Of the weights of one network in all variants: one file, or all the shards of one.

    The main variant if it is there, else the one of the shortest name.
    """
    weights = sorted(name for name in names if name.endswith(".safetensors"))
    plain = [name for name in weights if not _VARIANT.search(name)] or weights
    whole = [name for name in plain if not is_shard(name)]
    if whole or not plain:
        return [min(whole, key=len)] if whole else []
    wanted = {file.name for file in shards_of(Path(plain[0]))}
    return [name for name in plain if Path(name).name in wanted]


def _escaped(stem: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", stem)
