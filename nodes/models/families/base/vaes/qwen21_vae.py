"""The autoencoder of Qwen-Image 2.1: pictures with an alpha channel, a sixteenth as large each way.

Published single files have the layout of Wan 2.2's autoencoder for video, where convolutions keep
an axis for time, of one frame; the folder has the names of diffusers' `AutoencoderKLQwenImage21`.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from nodes.models.families.base.ldm_keys import VAE_PREFIX, own_key
from nodes.models.families.base.shapes import count, shape_of
from nodes.models.families.base.spec import LatentRules, NetworkSpec, Part, VaeSpec
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

KIND = "qwen21_vae"
MARK = "decoder.upsamples.0.upsamples.0.residual.2.weight"
"""A key that the other autoencoders of pictures lack."""
OWN_MARK = "decoder.up_blocks.0.upsampler.resample.1.weight"
"""The same in diffusers' names."""
_MEAN = (
    *(0.5126, 0.7721, -0.0631, 1.3506, -0.7855, -2.1025, -0.3458, 1.3722),
    *(1.8873, -1.7177, -0.6510, 0.2732, 0.7562, -0.6163, -1.0277, 3.8363),
    *(2.0210, 0.0472, 0.9320, 2.0087, 2.4954, -0.1391, -1.4249, 1.8464),
    *(-0.5236, 1.2826, 3.7046, -1.3035, 2.7286, -1.4518, -1.9036, -1.9955),
    *(-0.0342, -1.0265, -0.7636, 3.0555, 0.0746, -3.0751, -0.1076, 1.7376),
    *(-1.0914, -1.9435, -0.2784, -1.3680, 0.4809, -0.4433, 0.3764, 0.5729),
    *(-2.0595, 1.0960, -1.3260, -2.0211, -5.0179, 0.5275, 4.0162, 1.8505),
    *(0.3026, 1.9373, 1.4937, 0.2632, 0.5547, -1.7121, -0.1562, 0.0304),
)
_DEVIATION = (
    *(3.2001, 3.2936, 3.4321, 3.0091, 3.1061, 4.0379, 4.0705, 3.7910),
    *(3.0785, 3.6500, 3.9308, 3.0904, 2.8778, 3.7675, 3.7320, 5.0756),
    *(3.2864, 4.0397, 3.1317, 4.0443, 2.9249, 3.9454, 3.0988, 4.2489),
    *(3.4896, 3.8513, 3.9323, 3.4719, 3.7498, 4.2830, 3.5694, 4.2467),
    *(3.9037, 3.2947, 5.0770, 3.5075, 3.2700, 3.4767, 2.8063, 5.1125),
    *(3.5327, 4.7833, 3.1286, 4.1819, 3.8527, 3.8312, 3.5605, 4.3875),
    *(3.9624, 4.0168, 3.5643, 4.0550, 5.5614, 4.2963, 4.4080, 3.4959),
    *(3.8747, 3.7608, 3.5735, 3.1490, 3.7662, 3.6746, 3.4563, 3.8161),
)
LATENT = LatentRules(
    channels=64, downscale=16, scale=tuple(1 / each for each in _DEVIATION), shift=_MEAN
)
"""Each channel has a mean of 0 and a deviation of 1; by the defaults of diffusers' class."""
_PART = "VAE"
_LAYERS = {
    "norm1": "residual.0",
    "conv1": "residual.2",
    "norm2": "residual.3",
    "conv2": "residual.6",
    "conv_shortcut": "shortcut",
}
_ENDS = {"conv_in": "conv1", "norm_out": "head.0", "conv_out": "head.2"}
_QUANT = {"quant_conv": "conv1", "post_quant_conv": "conv2"}
_BLOCK = re.compile(
    r"(?:(?P<side>down|up)_blocks\.(?P<block>\d+)|mid_block)"
    r"\.(?P<kind>resnets\.|attentions\.|downsampler|upsampler)(?P<index>\d*)\.(?P<rest>.+)"
)
_OF_PICTURES = re.compile(r"(resample\.1|to_qkv|proj)\.weight")
"""The convolutions that have no axis for time in the file either."""


def qwen21_vae_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of an `AutoencoderKLQwenImage21`.

    Args:
        keys: all of the network's own, which tell how many blocks a level has.
        prefix: of every key of the file.
    """
    keys = list(keys)
    found = (re.match(r"encoder\.down_blocks\.0\.resnets\.(\d+)", key) for key in keys)
    blocks = 1 + max((int(match[1]) for match in found if match), default=0)
    return {key: _source(key, prefix, blocks) for key in keys}


def _source(key: str, prefix: str, blocks: int) -> Source:
    source = Source(prefix + _original(key, blocks))
    has_time = key.endswith(".weight") and not _OF_PICTURES.search(key)
    return replace(source, op="frame") if has_time else source


def _original(key: str, blocks: int) -> str:
    """Return the original's name; there, a level's blocks and its resampling are one list."""
    half, _, inner = key.partition(".")
    if half in _QUANT:
        return f"{_QUANT[half]}.{inner}"
    match = _BLOCK.fullmatch(inner)
    if match is None:
        layer, _, leaf = inner.partition(".")
        return f"{half}.{_ENDS[layer]}.{leaf}"
    side, index = match["side"], int(match["index"] or 0)
    if side is None:
        place = f"middle.{1 if match['kind'] == 'attentions.' else 2 * index}"
    else:
        last = blocks if side == "down" else blocks + 1
        number = index if match["kind"] == "resnets." else last
        place = f"{side}samples.{match['block']}.{side}samples.{number}"
    layer, _, leaf = match["rest"].partition(".")
    return f"{half}.{place}.{_LAYERS.get(layer, layer)}.{leaf}"


def qwen21_vae_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of an `AutoencoderKLQwenImage21`.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
    """
    down = prefix + "encoder.downsamples.{}.downsamples.{}."
    width, channels = shape_of(header, f"{prefix}encoder.conv1.weight", _PART)[:2]
    blocks = count(header, down.format(0, "{}") + "residual.2.weight")
    levels = count(header, down.format("{}", 0) + "residual.2.weight")
    first = (down.format(level, 0) + "residual.2.weight" for level in range(levels))
    return {
        "base_dim": width,
        "decoder_base_dim": shape_of(header, f"{prefix}decoder.head.0.gamma", _PART)[0],
        "z_dim": shape_of(header, f"{prefix}conv2.weight", _PART)[0],
        "dim_mult": [shape_of(header, key, _PART)[0] // width for key in first],
        "num_res_blocks": blocks,
        "temperal_downsample": [
            down.format(level, blocks) + "time_conv.weight" in header for level in range(levels - 1)
        ],
        "in_channels": channels,
        "out_channels": shape_of(header, f"{prefix}decoder.head.2.weight", _PART)[0],
    }


def read_qwen21_vae(header: Header, prefix: str, latent: LatentRules | None = None) -> VaeSpec:
    """Return the autoencoder below a prefix.

    Args:
        header: of the file.
        prefix: of all its keys.
        latent: the family's; None: those of the VAE alone, which are not scaled.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
    """
    config = qwen21_vae_config(header, prefix)
    network = NetworkSpec(KIND, "vae", config, prefix, qwen21_vae_table)
    downscale = 2 ** len(config["temperal_downsample"])
    own = LatentRules(config["z_dim"], downscale, scale=1.0)
    return VaeSpec(network, latent or own, picture_channels=config["in_channels"])


PART = Part("vae", VAE_PREFIX, qwen21_vae_table, own_key)
"""Autoencoders, in a checkpoint or in a file of their own."""
