"""Upscale models: how to recognise one, read its configuration and name its keys.

ESRGAN's come with three sets of names for the same weights: the first release numbers its layers
(`model.1.sub.0.RDB1.conv1.0`), the next names them (`RRDB_trunk.0.RDB1.conv1`), and Real-ESRGAN's
names (`body.0.rdb1.conv1`) are the network's own here.
"""

import itertools
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.families.base.shapes import count, shape_of
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source, identity_table

_PART = "upscale model"
_PREFIXES = ("", "module.")
"""The prefixes of keys; training on several devices adds the second."""
_DENSE = re.compile(r"body\.(?P<block>\d+)\.rdb(?P<dense>\d)\.conv(?P<conv>\d)")
_UP = re.compile(r"conv_up\.(\d+)")
_COLOURS = 3
_FACTORS = (1, 2, 4)
"""The factors by which pixels may be folded into channels first."""


@dataclass(frozen=True, slots=True)
class RrdbTable:
    """One release's names of an ESRGAN's parts; numbers go where the braces are."""

    dense: str
    trunk: str
    ups: tuple[str, ...]
    high: str
    last: str
    first: str = "conv_first"

    def __call__(self, keys: Iterable[str], prefix: str) -> dict[str, Source]:
        """Return the key table of a `nodes.models.networks.components.esrgan.Rrdb`."""
        return {key: Source(prefix + self._original(*key.rsplit(".", 1))) for key in keys}

    def _original(self, part: str, parameter: str) -> str:
        return f"{self._part_name(part)}.{parameter}"

    def _part_name(self, part: str) -> str:
        if match := _DENSE.fullmatch(part):
            return self.dense.format(*match.groups())
        if match := _UP.fullmatch(part):
            return self.ups[int(match[1])]
        return {
            "conv_first": self.first,
            "conv_body": self.trunk,
            "conv_hr": self.high,
            "conv_last": self.last,
        }[part]


def upscaler_spec(header: Header) -> NetworkSpec:
    """Return the upscale model in a file.

    Raises:
        UnrecognisedFileError: none that is known here.
        MissingWeightsError: it is incomplete.
    """
    for prefix in _PREFIXES:
        table = _rrdb_table(header, prefix)
        if table is not None:
            return _rrdb(header, prefix, table)
        if f"{prefix}body.0.weight" in header and f"{prefix}body.1.weight" in header:
            return _compact(header, prefix)
    raise UnrecognisedFileError(header.path, header.summary, code="not_an_upscaler")


def scale_of(spec: NetworkSpec) -> int:
    """Return the factor by which it makes a picture wider and higher."""
    if spec.kind == "compact":
        return spec.config["scale"]
    return 2 ** spec.config["doublings"] // spec.config["unshuffle"]


def _rrdb_table(header: Header, prefix: str) -> RrdbTable | None:
    """Return the file's names of an ESRGAN's parts, if it holds one."""
    if f"{prefix}body.0.rdb1.conv1.weight" in header:
        ups = _ups(header, prefix, "conv_up{}")
        return RrdbTable("body.{}.rdb{}.conv{}", "conv_body", ups, "conv_hr", "conv_last")
    if f"{prefix}RRDB_trunk.0.RDB1.conv1.weight" in header:
        ups = _ups(header, prefix, "upconv{}")
        return RrdbTable("RRDB_trunk.{}.RDB{}.conv{}", "trunk_conv", ups, "HRconv", "conv_last")
    if f"{prefix}model.1.sub.0.RDB1.conv1.0.weight" in header:
        return _numbered_table(header, prefix)
    return None


def _ups(header: Header, prefix: str, name: str) -> tuple[str, ...]:
    numbers = itertools.takewhile(
        lambda number: f"{prefix}{name.format(number)}.weight" in header, itertools.count(1)
    )
    return tuple(name.format(number) for number in numbers)


def _numbered_table(header: Header, prefix: str) -> RrdbTable:
    """Return the first release's names: a doubling is three layers, the last a convolution."""
    blocks = count(header, prefix + "model.1.sub.{}.RDB1.conv1.0.weight")
    pattern = re.compile(re.escape(prefix) + r"model\.(\d+)\.weight")
    layers = (pattern.fullmatch(key) for key in header.tensors)
    last = max((int(match[1]) for match in layers if match), default=4)
    return RrdbTable(
        first="model.0",
        dense="model.1.sub.{}.RDB{}.conv{}.0",
        trunk=f"model.1.sub.{blocks}",
        ups=tuple(f"model.{layer}" for layer in range(3, last - 3, 3)),
        high=f"model.{last - 2}",
        last=f"model.{last}",
    )


def _rrdb(header: Header, prefix: str, table: RrdbTable) -> NetworkSpec:
    first = shape_of(header, f"{prefix}{table.first}.weight", _PART)
    channels = shape_of(header, f"{prefix}{table.last}.weight", _PART)[0]
    unshuffle = math.isqrt(first[1] // channels)
    doublings = len(table.ups)
    folded = (
        unshuffle in _FACTORS and first[1] == channels * unshuffle**2 <= channels * 4**doublings
    )
    if channels != _COLOURS or not folded:
        raise UnrecognisedFileError(
            header.path, f"{first[1]} channels in, {channels} out", code="not_an_upscaler"
        )
    dense = shape_of(header, f"{prefix}{table.dense.format(0, 1, 1)}.weight", _PART)
    config = {
        "channels": channels,
        "width": first[0],
        "growth": dense[0],
        "blocks": count(header, prefix + table.dense.format("{}", 1, 1) + ".weight"),
        "doublings": doublings,
        "unshuffle": unshuffle,
    }
    return NetworkSpec("rrdb", "upscaler", config, prefix, table)


def _compact(header: Header, prefix: str) -> NetworkSpec:
    layers = count(header, prefix + "body.{}.weight")
    first = shape_of(header, f"{prefix}body.0.weight", _PART)
    last = shape_of(header, f"{prefix}body.{layers - 1}.weight", _PART)
    scale = math.isqrt(last[0] // _COLOURS)
    if first[1] != _COLOURS or last[0] != _COLOURS * scale**2:
        raise UnrecognisedFileError(
            header.path, f"{first[1]} channels in, {last[0]} out", code="not_an_upscaler"
        )
    config = {
        "channels": _COLOURS,
        "width": first[0],
        "convolutions": (layers - 3) // 2,
        "scale": scale,
    }
    return NetworkSpec("compact", "upscaler", config, prefix, identity_table)
