"""ControlNets for FLUX.1: how to recognise one, read its configuration and name its keys.

InstantX's, Shakker's and AliMama's are in diffusers' layout. XLabs' have the transformer's
original names, and convolutions that bring a picture to the latent's size.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from nodes.models.families.base.shapes import count, shape_of
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.families.controlnets.spec import ControlSpec
from nodes.models.families.denoisers.flux import flux_table
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source, identity_table

_NAME = "flux_controlnet"
_PART = "ControlNet"
_PATCH = 4
"""The pixels of a latent in one patch."""
_CHANNELS = 16
_MODES = "controlnet_mode_embedder.weight"
_MARKS = ("controlnet_x_embedder.weight", "pos_embed_input.weight")
_KINDS: Mapping[str, int] = {
    "canny/lineart/anime_lineart/mlsd": 0,
    "tile": 1,
    "depth": 2,
    "openpose": 4,
}
"""The modes of a union ControlNet that SetUnionControlNetType has a name for."""


def recognises(header: Header) -> bool:
    """Return True for an input embedder and an output layer for each double block."""
    return any(mark in header for mark in _MARKS) and "controlnet_blocks.0.weight" in header


def read(header: Header) -> ControlSpec:
    """Return the ControlNet, from the shapes.

    Raises:
        MissingWeightsError: it is incomplete.
    """
    original = _MARKS[1] in header
    table = xlabs_table if original else identity_table
    config = _config(header, original=original)
    masked = config["hint_channels"] > config["in_channels"]
    kinds = _KINDS if _MODES in header else dict[str, int]()
    reads = "pixels" if original else "latent"
    network = NetworkSpec(_NAME, _NAME, config, "", table)
    return ControlSpec(network, kinds, reads, _CHANNELS, masked)


def xlabs_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of an XLabs ControlNet."""
    keys = list(keys)
    own = {key: _xlabs(key) for key in keys if key.startswith(("controlnet_", "input_hint_"))}
    table = flux_table((key for key in keys if key not in own), prefix)
    return table | {key: Source(prefix + name) for key, name in own.items()}


def _xlabs(key: str) -> str:
    name, leaf = key.rsplit(".", 1)
    if name == "controlnet_x_embedder":
        return f"pos_embed_input.{leaf}"
    part, _, place = name.partition(".")
    if part != "input_hint_block":
        return key
    ends = {"conv_in": 0, "conv_out": 7}
    number = ends[place] if place in ends else int(place.rsplit(".", 1)[1]) + 1
    return f"input_hint_block.{2 * number}.{leaf}"


def _config(header: Header, *, original: bool) -> dict[str, Any]:
    """Return the configuration of a `FluxControlNetModel`, and the width of its hint's patches."""
    embedder, text, pooled, guidance, mark, head = (
        (
            "img_in.weight",
            "txt_in.weight",
            "vector_in.in_layer.weight",
            "guidance_in.in_layer.weight",
            _MARKS[1],
            "double_blocks.0.img_attn.norm.key_norm.scale",
        )
        if original
        else (
            "x_embedder.weight",
            "context_embedder.weight",
            "time_text_embed.text_embedder.linear_1.weight",
            "time_text_embed.guidance_embedder.linear_1.weight",
            _MARKS[0],
            "transformer_blocks.0.attn.norm_k.weight",
        )
    )
    width, channels = shape_of(header, embedder, _PART)
    (size,) = shape_of(header, head, _PART)
    side = (size - size // 8) // 2
    hint = shape_of(header, mark, _PART)[1]
    return {
        "patch_size": 2 if original else 1,
        "in_channels": channels,
        "num_layers": count(header, "controlnet_blocks.{}.weight"),
        "num_single_layers": count(header, "controlnet_single_blocks.{}.weight"),
        "attention_head_dim": size,
        "num_attention_heads": width // size,
        "joint_attention_dim": shape_of(header, text, _PART)[1],
        "pooled_projection_dim": shape_of(header, pooled, _PART)[1],
        "guidance_embeds": guidance in header,
        "axes_dims_rope": [size - 2 * side, side, side],
        "num_mode": header.shape(_MODES)[0] if _MODES in header else None,
        "conditioning_embedding_channels": hint // _PATCH if original else None,
        "hint_channels": hint,
    }
