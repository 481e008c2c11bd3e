"""IP-Adapters for U-Nets (Ye et al. 2023, arXiv:2308.06721), as their authors' files have them.

The correspondence is the one in diffusers' `UNet2DConditionLoadersMixin` (Apache-2.0).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.families.base.shapes import count, shape_of
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.weights.errors import UnavailableHereError
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

_PART = "IP-Adapter"
_LAYER = "ip_adapter.{}.to_k_ip.weight"
_HEAD = 64
_PLAIN = {"image_proj.image_embeds": "image_proj.proj"}
_FULL = {
    "image_proj.ff.net.0.proj": "image_proj.proj.0",
    "image_proj.ff.net.2": "image_proj.proj.2",
    "image_proj.norm": "image_proj.proj.3",
}
_BLOCK = {
    "ln0": "0.norm1",
    "ln1": "0.norm2",
    "attn.to_q": "0.to_q",
    "attn.to_out.0": "0.to_out",
    "ff.0": "1.0",
    "ff.1.net.0.proj": "1.1",
    "ff.1.net.2": "1.3",
}
_BLOCK_KEY = re.compile(r"image_proj\.layers\.(\d+)\.(.+)\.(weight|bias)")
_ATTENTION_KEY = re.compile(r"(to_[kv]_ip)\.(\d+)\.weight")


def ip_adapter_spec(header: Header) -> NetworkSpec:
    """Return the IP-Adapter in a file.

    Raises:
        UnrecognisedFileError: none.
        UnavailableHereError: one that reads faces otherwise than by a vision encoder.
        MissingWeightsError: it is incomplete.
    """
    layers = 0
    while _LAYER.format(2 * layers + 1) in header:
        layers += 1
    if not layers:
        raise UnrecognisedFileError(header.path, header.summary, code="not_an_ip_adapter")
    shapes = [header.shape(_LAYER.format(2 * layer + 1)) for layer in range(layers)]
    text = shapes[0][1]
    config = {"widths": [shape[0] for shape in shapes], "text": text, **_projection(header, text)}
    return NetworkSpec("ip_adapter", "ip_adapter", config, "", ip_adapter_table)


def _projection(header: Header, text: int) -> dict[str, Any]:
    """Return the configuration of the layers that turn a vision encoder's output into tokens."""
    if "image_proj.proj.weight" in header:
        rows, seen = header.shape("image_proj.proj.weight")
        return {"projection": "plain", "seen": seen, "tokens": rows // text}
    if "image_proj.proj.3.weight" in header:
        return {
            "projection": "full",
            "seen": shape_of(header, "image_proj.proj.0.weight", _PART)[1],
        }
    if "image_proj.latents" in header:
        _, tokens, width = header.shape("image_proj.latents")
        block = "image_proj.layers.0."
        return {
            "projection": "plus",
            "seen": shape_of(header, "image_proj.proj_in.weight", _PART)[1],
            "tokens": tokens,
            "width": width,
            "depth": count(header, "image_proj.layers.{}.0.to_q.weight"),
            "heads": shape_of(header, f"{block}0.to_q.weight", _PART)[0] // _HEAD,
            "inner": shape_of(header, f"{block}1.1.weight", _PART)[0],
        }
    raise UnavailableHereError(
        code="face_adapter",
        what=f"the FaceID adapter {header.path.name!r}",
        reason="it needs a face recogniser",
        hint="Use a plain, plus, plus-face or full-face adapter.",
    )


def ip_adapter_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of an IP-Adapter."""
    keys = list(keys)
    ends = _FULL if any(key.startswith("image_proj.ff.") for key in keys) else _PLAIN
    return {key: _source(key, prefix, ends) for key in keys}


def _source(key: str, prefix: str, ends: Mapping[str, str]) -> Source:
    if layer := _ATTENTION_KEY.fullmatch(key):
        return Source(f"{prefix}ip_adapter.{2 * int(layer[2]) + 1}.{layer[1]}.weight")
    if block := _BLOCK_KEY.fullmatch(key):
        start, part = f"{prefix}image_proj.layers.{block[1]}.", block[2]
        if part in _BLOCK:
            return Source(f"{start}{_BLOCK[part]}.{block[3]}")
        slot = ("attn.to_k", "attn.to_v").index(part)
        return Source(f"{start}0.to_kv.{block[3]}", slot=slot, slots=2)
    layer_name, _, leaf = key.rpartition(".")
    return Source(f"{prefix}{ends.get(layer_name, layer_name)}.{leaf}")
