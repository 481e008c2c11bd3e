"""What the families with a U-Net in the original Stable Diffusion layout share."""

from collections.abc import Mapping
from typing import Any

from nodes.errors import BadMetadataError
from nodes.families.family import DiscreteRules, Layout, NetworkSpec, Part, Prediction
from nodes.families.ldm import UNET_PREFIX, own_key, unet_table
from nodes.families.shapes import first_in, unet_config
from nodes.families.vae import PART as VAE
from nodes.weights.header import Header

PREFIXES = (UNET_PREFIX, "")
"""Of a checkpoint, and of a file that holds the U-Net alone."""
_HEAD = 64
_PREDICTIONS: Mapping[str, Prediction] = {
    "eps": "eps",
    "epsilon": "eps",
    "v": "v",
    "v_prediction": "v",
}


def layout(text: Mapping[str, Part]) -> Layout:
    """How diffusers has a family with a U-Net; `text` as in `Layout.parts`."""
    unet = Part("unet", UNET_PREFIX, unet_table, own_key)
    return Layout("down_blocks.0.resnets.0.conv1.weight", {"unet": unet, **text, "vae": VAE})


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
    return NetworkSpec("unet", "model", config, prefix, unet_table)


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
