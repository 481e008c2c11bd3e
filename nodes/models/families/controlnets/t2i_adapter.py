"""T2I-Adapters: how to recognise one, read its configuration and name its keys.

In the original layout the blocks of full adapters are numbered in one row, two a level; in
diffusers' they are below `adapter.`, level by level.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import takewhile
from typing import Any, TypeAlias

from nodes.models.families.base.errors import MissingWeightsError
from nodes.models.families.base.shapes import shape_of
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.families.controlnets.spec import ControlSpec
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source, identity_table

Table: TypeAlias = Callable[[Iterable[str], str], dict[str, Source]]

_NAME = "t2i_adapter"
_PART = "T2I-Adapter"
_BLOCKS = 2
_INPUTS: Mapping[int, tuple[int, int]] = {192: (3, 8), 64: (1, 8), 768: (3, 16), 256: (1, 16)}
"""The channels of the image and the factor it is shrunk by, by the first convolution's input."""
_LARGE = 16
_RESNET = re.compile(r"adapter\.body\.(\d+)\.resnets\.(\d+)\.(.+)")
_CONVOLUTION = re.compile(r"adapter\.body\.(\d+)\.(in_conv\..+)")


def recognises(header: Header) -> bool:
    """Return True for blocks of two convolutions, in a row or level by level."""
    return _table_of(header) is not None


def read(header: Header) -> ControlSpec:
    """Return the adapter, from the shapes.

    Raises:
        MissingWeightsError: it is incomplete.
    """
    table = _table_of(header) or identity_table
    return ControlSpec(NetworkSpec(_NAME, _NAME, _config(header, table), "", table))


def full_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a full `T2IAdapter` in the original layout."""
    return {key: Source(prefix + _in_a_row(key)) for key in keys}


def light_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a light `T2IAdapter` in the original layout."""
    plain = {key: key.removeprefix("adapter.") for key in keys}
    return {key: Source(prefix + name.replace("resnets", "body")) for key, name in plain.items()}


def _table_of(header: Header) -> Table | None:
    marks: Mapping[str, Table] = {
        "adapter.body.0.resnets.0.block1.weight": identity_table,
        "body.0.body.0.block1.weight": light_table,
        "body.0.block1.weight": full_table,
    }
    return next((table for mark, table in marks.items() if mark in header), None)


def _in_a_row(key: str) -> str:
    if match := _RESNET.fullmatch(key):
        return f"body.{int(match[1]) * _BLOCKS + int(match[2])}.{match[3]}"
    if match := _CONVOLUTION.fullmatch(key):
        return f"body.{int(match[1]) * _BLOCKS}.{match[2]}"
    return key.removeprefix("adapter.")


def _config(header: Header, table: Table) -> dict[str, Any]:
    """Return the configuration of a `T2IAdapter` whose weights have the keys of the table."""

    def at(pattern: str) -> str:
        return table([pattern], "")[pattern].key

    def present(pattern: str) -> list[str]:
        keys = (at(pattern.format(n)) for n in range(len(header.tensors)))
        return list(takewhile(header.tensors.__contains__, keys))

    light = at("adapter.body.0.out_conv.weight") in header
    last = "out_conv" if light else "resnets.0.block2"
    levels = [header.shape(key)[0] for key in present(f"adapter.body.{{}}.{last}.weight")]
    first = at("adapter.body.0.in_conv.weight" if light else "adapter.conv_in.weight")
    inputs = shape_of(header, first, _PART)[1]
    if inputs not in _INPUTS:
        raise MissingWeightsError(header.path, _PART, [f"{first} reads {inputs} channels"])
    channels, factor = _INPUTS[inputs]
    full = "full_adapter_xl" if factor == _LARGE else "full_adapter"
    blocks = present("adapter.body.0.resnets.{}.block1.weight")
    return {
        "in_channels": channels,
        "channels": levels[:-1] if light else levels,
        "num_res_blocks": _BLOCKS if table is full_table else len(blocks),
        "downscale_factor": factor,
        "adapter_type": "light_adapter" if light else full,
    }
