"""What the families with a U-Net in the original Stable Diffusion layout share."""

from collections.abc import Mapping
from typing import Any

from nodes.models.families.base.errors import MissingWeightsError
from nodes.models.families.base.ldm_keys import UNET_PREFIX, own_key, unet_table
from nodes.models.families.base.shapes import count, first_in, overrides, shape_of
from nodes.models.families.base.spec import (
    DiscreteRules,
    Layout,
    LoraMark,
    NetworkSpec,
    Part,
    Prediction,
)
from nodes.models.families.base.vae import PART as VAE
from nodes.models.weights.errors import BadMetadataError
from nodes.models.weights.header import Header

PREFIXES = (UNET_PREFIX, "")
"""Of a checkpoint, and of a file that holds the U-Net alone."""
_HEAD = 64
_KIND = "unet"
_SAID = frozenset({"norm_num_groups", "attention_head_dim"})
"""The entries of the configuration that the metadata may say."""
_READS_TEXT = r"(down|up|input|output|mid|middle)_block.*attn2[._](processor[._])?to_[kv]"
_PREDICTIONS: Mapping[str, Prediction] = {
    "eps": "eps",
    "epsilon": "eps",
    "v": "v",
    "v_prediction": "v",
}


def layout(text: Mapping[str, Part]) -> Layout:
    """How diffusers has a family with a U-Net; `text` as in `Layout.parts`."""
    unet = Part(_KIND, UNET_PREFIX, unet_table, own_key)
    return Layout("down_blocks.0.resnets.0.conv1.weight", {_KIND: unet, **text, "vae": VAE})


def lora_mark(width: int, title: str = "") -> LoraMark:
    """Return the mark of LoRAs for a family whose text is so wide."""
    return LoraMark(_READS_TEXT, _KIND, range(width, width + 1), "cross_attention_dim", title)


def unet_prefix(header: Header) -> str | None:
    """Where the keys of a U-Net start, if the file has one."""
    return first_in(header, PREFIXES, "input_blocks.0.0.weight")


def takes_vector(header: Header, prefix: str) -> bool:
    """Whether it reads a vector and sizes besides the text, as SDXL's does.

    So do unCLIP's, but these attend to the text from the first level on.
    """
    first_level = f"{prefix}input_blocks.1.1.norm.weight"
    return f"{prefix}label_emb.0.0.weight" in header and first_level not in header


def is_linear(header: Header, prefix: str) -> bool | None:
    """Whether its attentions begin with a matrix, not a convolution; None if it has none."""
    projection = f"{prefix}middle_block.1.proj_in.weight"
    return len(header.shape(projection)) == 2 if projection in header else None


def unet_spec(header: Header, prefix: str, heads: int | None = None) -> NetworkSpec:
    """The U-Net.

    Args:
        header: of the file.
        prefix: where its keys start.
        heads: how many each attention has; None: as many as make them 64 wide.

    Raises:
        MissingWeightsError: a tensor that says something about it is not there.
        BadMetadataError: an override in the metadata has no meaning.
    """
    config = unet_config(header, prefix)
    wide: Any = [max(1, width // _HEAD) for width in config["block_out_channels"]]
    config = {"attention_head_dim": heads or wide, **config}
    return NetworkSpec(_KIND, "model", config, prefix, unet_table)


def noise_rules(header: Header, otherwise: Prediction = "eps") -> DiscreteRules:
    """What a U-Net predicts, and over which levels of noise.

    The metadata's `modelspec.prediction_type` counts first, then the keys `v_pred` and `ztsnr`,
    which have no other purpose than to say so.

    Args:
        header: of the file.
        otherwise: what it predicts if the file does not say.

    Raises:
        BadMetadataError: it predicts something else.
    """
    said = header.metadata.get("modelspec.prediction_type")
    if said and said not in _PREDICTIONS:
        raise BadMetadataError(header.path, f"prediction type is {said!r}")
    predicts = "v" if "v_pred" in header else otherwise
    return DiscreteRules(_PREDICTIONS[said] if said else predicts, "ztsnr" in header)


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
        **overrides(header, _KIND, _SAID),
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
