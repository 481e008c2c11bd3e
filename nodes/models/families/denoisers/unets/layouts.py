"""The U-Net of the original Stable Diffusion layout, which SD 1, SD 2 and SDXL share."""

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
from nodes.models.families.base.vaes.vae import PART as VAE
from nodes.models.weights.errors import BadMetadataError
from nodes.models.weights.header import Header

PREFIXES = (UNET_PREFIX, "")
"""The prefixes of a U-Net's keys in a checkpoint, and in a file of its own."""
NETWORKS = ("nodes.models.networks.denoisers.unets.unet:NETWORK",)
"""See `Family.networks`."""
TASK_WIDTH = 4
"""The sines and cosines of the two numbers that name a task."""
_HEAD = 64
_KIND = "unet"
_METADATA_ENTRIES = frozenset({"norm_num_groups", "attention_head_dim"})
"""The entries of the configuration that the metadata may set."""
_READS_TEXT = r"(down|up|input|output|mid|middle)_block.*attn2[._](processor[._])?to_[kv]"
_PREDICTIONS: Mapping[str, Prediction] = {
    "eps": "eps",
    "epsilon": "eps",
    "v": "v",
    "v_prediction": "v",
}


def layout(text: Mapping[str, Part]) -> Layout:
    """Return diffusers' layout of a family with a U-Net; `text` as in `Layout.parts`."""
    unet = Part(_KIND, UNET_PREFIX, unet_table, own_key)
    return Layout("down_blocks.0.resnets.0.conv1.weight", {_KIND: unet, **text, "vae": VAE})


def lora_mark(width: int, title: str = "") -> LoraMark:
    """Return the mark of LoRAs for a family whose text has this width."""
    return LoraMark(_READS_TEXT, _KIND, range(width, width + 1), "cross_attention_dim", title)


def unet_prefix(header: Header) -> str | None:
    """Return the prefix of a U-Net's keys; None if the file has no U-Net."""
    return first_in(header, PREFIXES, "input_blocks.0.0.weight")


def takes_vector(header: Header, prefix: str) -> bool:
    """Return True for a U-Net that reads a vector and sizes besides the text, as SDXL's does.

    unCLIP's read a vector too, but attend to the text from the first level on.
    """
    first_level = f"{prefix}input_blocks.1.1.norm.weight"
    return f"{prefix}label_emb.0.0.weight" in header and first_level not in header


def is_told_its_task(header: Header, prefix: str) -> bool:
    """Return True for a U-Net that reads one of two tasks, as `TASK_WIDTH` numbers."""
    key = f"{prefix}label_emb.0.0.weight"
    return key in header and header.shape(key)[1] == TASK_WIDTH


def is_linear(header: Header, prefix: str) -> bool | None:
    """Return True if its attentions begin with a matrix, not a convolution; None without any."""
    projection = f"{prefix}middle_block.1.proj_in.weight"
    return len(header.shape(projection)) == 2 if projection in header else None


def unet_spec(header: Header, prefix: str, heads: int | None = None) -> NetworkSpec:
    """Return the spec of the U-Net.

    Args:
        header: of the file.
        prefix: of its keys.
        heads: of each attention; None: as many as make them 64 wide.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
        BadMetadataError: an override in the metadata has no meaning.
    """
    config = unet_config(header, prefix)
    wide: Any = [max(1, width // _HEAD) for width in config["block_out_channels"]]
    config = {"attention_head_dim": heads or wide, **config}
    return NetworkSpec(_KIND, "model", config, prefix, unet_table)


def noise_rules(header: Header, otherwise: Prediction = "eps") -> DiscreteRules:
    """Return the prediction type of a U-Net and its levels of noise.

    The metadata's `modelspec.prediction_type` counts first, then the marker keys `v_pred` and
    `ztsnr`.

    Args:
        header: of the file.
        otherwise: the prediction type if the file does not have it.

    Raises:
        BadMetadataError: it predicts something else.
    """
    prediction = header.metadata.get("modelspec.prediction_type")
    if prediction and prediction not in _PREDICTIONS:
        raise BadMetadataError(header.path, f"prediction type is {prediction!r}")
    predicts = "v" if "v_pred" in header else otherwise
    return DiscreteRules(_PREDICTIONS[prediction] if prediction else predicts, "ztsnr" in header)


def unet_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of a `UNet2DConditionModel`, without the number of heads."""
    encoder = encoder_config(header, prefix)
    up = [kind.replace("Down", "Up") for kind in reversed(encoder["down_block_types"])]
    channels = shape_of(header, f"{prefix}out.2.weight", "U-Net")[0]
    return {**encoder, "out_channels": channels, "up_block_types": up}


def encoder_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of a U-Net's way down and middle, which a ControlNet has too."""
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
        **overrides(header, _KIND, _METADATA_ENTRIES),
    }


def _unet_depths(header: Header, prefix: str, levels: list[list[int]]) -> dict[str, Any]:
    """Return the number of transformer blocks of each level's attentions, if not one each.

    A last level without any has the number of the middle.
    """
    block = ".1.transformer_blocks.{}.norm1.weight"
    starts = [1 + level * (len(levels[0]) + 1) for level in range(len(levels))]
    depths = [count(header, f"{prefix}input_blocks.{start}{block}") for start in starts]
    depths[-1] = depths[-1] or count(header, f"{prefix}middle_block{block}")
    depths = [depth or 1 for depth in depths]
    return {"transformer_layers_per_block": depths} if set(depths) != {1} else {}


def _unet_vector(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of the inputs besides the text.

    SDXL's read a vector, and sizes of 256 numbers each; unCLIP's, which attend to the text from
    the first level on, read the output of a vision encoder.
    """
    key = f"{prefix}label_emb.0.0.weight"
    if key not in header:
        return {}
    width = {"projection_class_embeddings_input_dim": header.shape(key)[1]}
    if f"{prefix}input_blocks.1.1.norm.weight" in header:
        return {"class_embed_type": "projection", **width}
    return {"addition_embed_type": "text_time", "addition_time_embed_dim": 256, **width}


def _unet_levels(header: Header, prefix: str) -> tuple[list[list[int]], list[bool]]:
    """Return the widths of every level's blocks, and for each level if it has attention."""
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
