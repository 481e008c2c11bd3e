"""ControlNets for SD3 and SD3.5: how to recognise one, read its configuration and name its keys.

Those in diffusers' layout read text. Stability's for SD3.5 large do not, and have the original
names of attention and MLP; their correspondence is the one in diffusers'
`convert_sd3_controlnet_to_diffusers` script (Apache-2.0).
"""

from collections.abc import Iterable
from math import isqrt
from typing import Any

from nodes.models.families.base.shapes import count, shape_of
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.families.base.transformer_keys import Stack, block_table, fused_sources
from nodes.models.families.controlnets.spec import Change, ControlSpec
from nodes.models.weights.header import Header, read_numbers
from nodes.models.weights.key_table import Source, identity_table

_NAME = "sd3_controlnet"
_PART = "ControlNet"
_HEAD = 64
_CHANNELS = 16
_INPUT = "pos_embed_input.proj.weight"
_FUSED = "transformer_blocks.0.attn.qkv.weight"
_CHANGES: dict[int, Change] = {0: "none", 1: "edges", 2: "inverted"}
"""The change to the control image, by the number in Stability's files: 0 blur, 1 edges, 2 depth."""
_ENDS = {
    layer: Source(layer)
    for layer in (
        "pos_embed_input.proj",
        "time_text_embed.timestep_embedder.linear_1",
        "time_text_embed.timestep_embedder.linear_2",
        "time_text_embed.text_embedder.linear_1",
        "time_text_embed.text_embedder.linear_2",
    )
}
_BLOCK = {
    "norm1.linear": Source("adaLN_modulation.1"),
    **fused_sources("attn.qkv", ("attn.to_q", "attn.to_k", "attn.to_v")),
    "attn.to_out.0": Source("attn.proj"),
    "ff.net.0.proj": Source("mlp.fc1"),
    "ff.net.2": Source("mlp.fc2"),
}
_STACKS = {"transformer_blocks": Stack("transformer_blocks", _BLOCK)}


def recognises(header: Header) -> bool:
    """Return True for an embedder of the hint's patches."""
    return _INPUT in header


def read(header: Header) -> ControlSpec:
    """Return the ControlNet, from the shapes.

    Raises:
        MissingWeightsError: it is incomplete.
    """
    table = textless_table if _FUSED in header else identity_table
    config = _config(header)
    number = round(read_numbers(header, "control_type")[0]) if "control_type" in header else 0
    return ControlSpec(
        NetworkSpec(_NAME, _NAME, config, "", table),
        reads="latent",
        channels=_CHANNELS,
        masked=config["extra_conditioning_channels"] > 0,
        change=_CHANGES.get(number, "none"),
    )


def textless_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of Stability's ControlNets for SD3.5 large; see `block_table`."""
    keys = list(keys)
    ends = [key for key in keys if key.startswith("controlnet_blocks.")]
    table = block_table((key for key in keys if key not in ends), prefix, _ENDS, _STACKS)
    return table | identity_table(ends, prefix)


def _config(header: Header) -> dict[str, Any]:
    """Return the configuration of an `SD3ControlNetModel`: heads 64 wide, 16 channels."""
    width, channels, _, patch = shape_of(header, _INPUT, _PART)
    places, text = "pos_embed.pos_embed", "context_embedder.weight"
    pooled = shape_of(header, "time_text_embed.text_embedder.linear_1.weight", _PART)[1]
    inner, wide = shape_of(header, text, _PART) if text in header else (width, None)
    normed = "transformer_blocks.0.attn.norm_q.weight" in header
    layers = count(header, "controlnet_blocks.{}.weight")
    dual = "transformer_blocks.{}.attn2.to_q.weight"
    return {
        "patch_size": patch,
        "in_channels": _CHANNELS,
        "out_channels": _CHANNELS,
        "extra_conditioning_channels": channels - _CHANNELS,
        "num_layers": layers,
        "attention_head_dim": _HEAD,
        "num_attention_heads": width // _HEAD,
        "joint_attention_dim": wide,
        "caption_projection_dim": inner,
        "pooled_projection_dim": pooled,
        "pos_embed_max_size": isqrt(header.shape(places)[1]) if places in header else None,
        "pos_embed_type": "sincos" if places in header else None,
        "use_pos_embed": places in header,
        "dual_attention_layers": [n for n in range(layers) if dual.format(n) in header],
        "qk_norm": "rms_norm" if normed else None,
    }
