"""Read a network's configuration from the shapes of its weights: what SD 1, 2 and XL share."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from nodes.errors import BadMetadataError, MissingWeightsError
from nodes.weights.header import Header

_ENCODER = frozenset({"num_attention_heads", "hidden_act"})
_OVERRIDES: Mapping[str, frozenset[str]] = {
    "unet": frozenset({"norm_num_groups", "attention_head_dim"}),
    "vae": frozenset({"norm_num_groups"}),
    "clip": frozenset(
        {"num_attention_heads", "hidden_act", "bos_token_id", "eos_token_id", "pad_token_id"}
    ),
    "vision": _ENCODER,
    "clip_l": _ENCODER,
    "clip_h": _ENCODER,
    "clip_g": _ENCODER,
    "flux": frozenset({"axes_dims_rope"}),
}
"""What the shapes don't tell, and the metadata may. Anything else there is ignored."""


def shape_of(header: Header, key: str, part: str) -> tuple[int, ...]:
    """A tensor's shape.

    Raises:
        MissingWeightsError: the file does not have it.
    """
    if key not in header:
        raise MissingWeightsError(header.path, part, [f"no {key}"])
    return header.shape(key)


def count(header: Header, pattern: str, *, step: int = 1) -> int:
    """How many of `pattern.format(0)`, `pattern.format(step)`, … are there in a row."""
    number = 0
    while pattern.format(number * step) in header:
        number += 1
    return number


def overrides(header: Header, network: str) -> dict[str, Any]:
    """What the metadata's `config` says about one network.

    Raises:
        BadMetadataError: it is no JSON object of objects.
    """
    try:
        config: object = json.loads(header.metadata.get("config", "{}"))
    except (ValueError, RecursionError) as error:
        raise BadMetadataError(header.path, "'config' is no JSON") from error
    part = cast("dict[str, object]", config).get(network, {}) if isinstance(config, dict) else None
    if not isinstance(part, dict):
        raise BadMetadataError(header.path, f"'config' has no object {network!r}")
    given = cast("dict[str, Any]", part)
    return {key: value for key, value in given.items() if key in _OVERRIDES[network]}


def preview_rgb(header: Header) -> tuple[tuple[float, ...], ...]:
    """The metadata's own `preview.rgb`, or nothing; see `LatentRules.rgb`.

    Raises:
        BadMetadataError: it is no JSON list of rows of three numbers.
    """
    try:
        rows: object = json.loads(header.metadata.get("preview.rgb", "[]"))
        table = tuple(tuple(float(n) for n in row) for row in cast("list[list[float]]", rows))
    except (ValueError, TypeError, RecursionError) as error:
        raise BadMetadataError(header.path, "'preview.rgb' is no table of numbers") from error
    if any(len(row) != 3 for row in table):
        raise BadMetadataError(header.path, "'preview.rgb' has rows that are not 3 long")
    return table


def unet_config(header: Header, prefix: str) -> dict[str, Any]:
    """The configuration of a `UNet2DConditionModel`, without the number of heads."""
    encoder = encoder_config(header, prefix)
    up = [kind.replace("Down", "Up") for kind in reversed(encoder["down_block_types"])]
    channels = shape_of(header, f"{prefix}out.2.weight", "U-Net")[0]
    return {**encoder, "out_channels": channels, "up_block_types": up}


def encoder_config(header: Header, prefix: str) -> dict[str, Any]:
    """The part of it that a ControlNet has too: all but the way up."""
    first = shape_of(header, f"{prefix}input_blocks.0.0.weight", "U-Net")
    levels, attention = _unet_levels(header, prefix)
    if not levels:
        raise MissingWeightsError(header.path, "U-Net", ["no input blocks"])
    text = f"{prefix}middle_block.1.transformer_blocks.0.attn2.to_k.weight"
    projection = f"{prefix}middle_block.1.proj_in.weight"
    down = [f"{'CrossAttn' if has else ''}DownBlock2D" for has in attention]
    return {
        "in_channels": first[1],
        "block_out_channels": [blocks[-1] for blocks in levels],
        "layers_per_block": len(levels[0]),
        "down_block_types": down,
        "cross_attention_dim": shape_of(header, text, "U-Net")[1],
        "use_linear_projection": len(shape_of(header, projection, "U-Net")) == 2,
        **_unet_depths(header, prefix, levels),
        **_unet_vector(header, prefix),
        **overrides(header, "unet"),
    }


def _unet_depths(header: Header, prefix: str, levels: list[list[int]]) -> dict[str, Any]:
    """How many transformer blocks the attentions of each level have, if not one each.

    Where the last level has none, its number is that of the middle.
    """
    block = ".1.transformer_blocks.{}.norm1.weight"
    starts = [1 + level * (len(levels[0]) + 1) for level in range(len(levels))]
    depths = [count(header, f"{prefix}input_blocks.{start}{block}") for start in starts]
    depths[-1] = depths[-1] or count(header, f"{prefix}middle_block{block}")
    depths = [depth or 1 for depth in depths]
    return {"transformer_layers_per_block": depths} if set(depths) != {1} else {}


def _unet_vector(header: Header, prefix: str) -> dict[str, Any]:
    """What networks read besides the text.

    SDXL's read a vector, and sizes of 256 numbers each; unCLIP's, which attend to the text from
    the first level on, read what a vision encoder sees.
    """
    key = f"{prefix}label_emb.0.0.weight"
    if key not in header:
        return {}
    width = {"projection_class_embeddings_input_dim": header.shape(key)[1]}
    if f"{prefix}input_blocks.1.1.norm.weight" in header:
        return {"class_embed_type": "projection", **width}
    return {"addition_embed_type": "text_time", "addition_time_embed_dim": 256, **width}


def _unet_levels(header: Header, prefix: str) -> tuple[list[list[int]], list[bool]]:
    """Every level's blocks, each by its width, and whether the level has attention."""
    convolution = prefix + "input_blocks.{}.0.in_layers.2.weight"
    levels: list[list[int]] = []
    attention: list[bool] = []
    block = 1
    while convolution.format(block) in header:
        attention.append(f"{prefix}input_blocks.{block}.1.norm.weight" in header)
        levels.append([])
        while convolution.format(block) in header:
            levels[-1].append(header.shape(convolution.format(block))[0])
            block += 1
        block += 1  # the convolution between two levels
    return levels, attention


def vae_config(header: Header, prefix: str) -> dict[str, Any]:
    """The configuration of an `AutoencoderKL`."""
    levels = count(header, prefix + "encoder.down.{}.block.0.conv1.weight")
    widths = [
        header.shape(f"{prefix}encoder.down.{level}.block.0.conv1.weight")[0]
        for level in range(levels)
    ]
    return {
        "block_out_channels": widths,
        "layers_per_block": count(header, prefix + "encoder.down.0.block.{}.conv1.weight"),
        "latent_channels": shape_of(header, f"{prefix}decoder.conv_in.weight", "VAE")[1],
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "use_quant_conv": f"{prefix}quant_conv.weight" in header,
        "use_post_quant_conv": f"{prefix}post_quant_conv.weight" in header,
        "mid_block_add_attention": f"{prefix}encoder.mid.attn_1.norm.weight" in header,
        **overrides(header, "vae"),
    }


def first_in(header: Header, prefixes: Sequence[str], key: str) -> str | None:
    """The first of the prefixes under which the file has `key`."""
    return next((prefix for prefix in prefixes if prefix + key in header), None)
