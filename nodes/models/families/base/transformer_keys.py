"""Key tables of transformers: stacks of like blocks, and a few layers before and after them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from nodes.models.weights.key_table import Source

Layers: TypeAlias = Mapping[str, Source]
"""The source of each layer, by its path in the network, or of each weight, by its whole key."""
JOINT_LORA = r"(?<!single_)transformer_blocks.\d+.attn.add_[qkv]_proj"
"""Modules of LoRAs in diffusers' names that FLUX.1 and SD3 share; FLUX.1's are wider."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A list of blocks."""

    name: str
    """Its name in the file."""
    layers: Layers
    """The layers of a block."""


def fused_sources(original: str, names: Sequence[str]) -> dict[str, Source]:
    """Return the sources of layers of one size that the file has fused in one tensor."""
    slots = len(names)
    return {name: Source(original, slot=slot, slots=slots) for slot, name in enumerate(names)}


def block_table(
    keys: Iterable[str], prefix: str, ends: Layers, stacks: Mapping[str, Stack]
) -> dict[str, Source]:
    """Return the key table of a transformer.

    Args:
        keys: the network's own.
        prefix: of every key of the file.
        ends: the layers before and after the blocks.
        stacks: by their names in the network.

    Raises:
        KeyError: the network has a layer that is not listed.
    """
    found: dict[str, Source] = {}
    for key in keys:
        match = re.fullmatch(r"([\w.]+?)\.(\d+)\.(.+)", key)
        stack = stacks.get(match[1]) if match else None
        if match and stack:
            source = _source(match[3], stack.layers)
            source = replace(source, key=f"{stack.name}.{match[2]}.{source.key}")
        else:
            source = _source(key, ends)
        found[key] = replace(source, key=prefix + source.key)
    return found


def _source(key: str, layers: Layers) -> Source:
    if key in layers:
        return layers[key]
    layer, _, leaf = key.rpartition(".")
    return replace(layers[layer], key=f"{layers[layer].key}.{leaf}")
