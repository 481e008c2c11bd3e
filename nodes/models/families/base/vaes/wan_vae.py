"""The autoencoder of Qwen-Image and Wan 2.1, made for video: a picture is a single frame.

Layout and sizes are those of the published files; the correspondence is the one in diffusers'
`convert_wan_vae_to_diffusers` (Apache-2.0).
"""

import re
from collections.abc import Iterable
from typing import Any

from nodes.models.families.base.ldm_keys import VAE_PREFIX, own_key
from nodes.models.families.base.shapes import count, shape_of
from nodes.models.families.base.spec import LatentRules, NetworkSpec, Part, VaeSpec
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

KIND = "wan_vae"
MARK = "decoder.middle.0.residual.0.gamma"
"""A key that no other autoencoder has."""
OWN_MARK = "decoder.up_blocks.0.resnets.0.norm1.gamma"
"""The same in diffusers' names."""
_MEAN = (
    *(-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508),
    *(0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921),
)
_DEVIATION = (
    *(2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743),
    *(3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160),
)
LATENT = LatentRules(
    channels=16, downscale=8, scale=tuple(1 / each for each in _DEVIATION), shift=_MEAN
)
"""Each channel has a mean of 0 and a deviation of 1; by the `config.json` of Qwen-Image's VAE."""
_PART = "VAE"
_RESIDUAL = {
    "norm1": "residual.0",
    "conv1": "residual.2",
    "norm2": "residual.3",
    "conv2": "residual.6",
    "conv_shortcut": "shortcut",
}
_ENDS = {
    "conv_in": "conv1",
    "norm_out": "head.0",
    "conv_out": "head.2",
}
_QUANT = {"quant_conv": "conv1", "post_quant_conv": "conv2"}
_BLOCK = re.compile(
    r"(?:(?P<side>down|up)_blocks\.(?P<block>\d+)|mid_block)"
    r"(?:\.(?P<kind>resnets|attentions|upsamplers)\.(?P<index>\d+))?\.(?P<rest>.+)"
)


def wan_vae_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of an `AutoencoderKLQwenImage`.

    Args:
        keys: all of the network's own, which tell how many blocks a level has.
        prefix: of every key of the file.
    """
    keys = list(keys)
    numbers = (re.match(r"decoder\.up_blocks\.0\.resnets\.(\d+)", key) for key in keys)
    stride = 2 + max((int(match[1]) for match in numbers if match), default=0)
    return {key: Source(prefix + _original(key, stride)) for key in keys}


def _original(key: str, stride: int) -> str:
    """Return the original's name; there, a level's blocks and its upsampling are one list."""
    half, _, inner = key.partition(".")
    if half in _QUANT:
        return f"{_QUANT[half]}.{inner}"
    match = _BLOCK.fullmatch(inner)
    if match is None:
        layer, _, leaf = inner.partition(".")
        return f"{half}.{_ENDS[layer]}.{leaf}"
    index = int(match["index"] or 0)
    if match["side"] == "down":
        place = f"downsamples.{match['block']}"
    elif match["side"] == "up":
        last = stride - 1 if match["kind"] == "upsamplers" else index
        place = f"upsamples.{int(match['block']) * stride + last}"
    else:
        place = f"middle.{1 if match['kind'] == 'attentions' else 2 * index}"
    layer, _, leaf = match["rest"].partition(".")
    return f"{half}.{place}.{_RESIDUAL.get(layer, layer)}.{leaf}"


def wan_vae_network(header: Header, prefix: str) -> NetworkSpec:
    """Return the network below a prefix.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
    """
    return NetworkSpec(KIND, "vae", wan_vae_config(header, prefix), prefix, wan_vae_table)


def wan_vae_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of an `AutoencoderKLQwenImage`.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
    """
    down = prefix + "encoder.downsamples.{}."
    width, channels = shape_of(header, f"{prefix}encoder.conv1.weight", _PART)[:2]
    blocks = count(header, down + "residual.2.weight")
    step = blocks + 1
    halvings = 0
    while down.format(halvings * step + blocks) + "resample.1.weight" in header:
        halvings += 1
    firsts = [down.format(level * step) for level in range(halvings + 1)]
    widths = [shape_of(header, f"{first}residual.2.weight", _PART)[0] for first in firsts]
    return {
        "base_dim": width,
        "z_dim": shape_of(header, f"{prefix}decoder.conv1.weight", _PART)[1],
        "dim_mult": [each // width for each in widths],
        "num_res_blocks": blocks,
        "temperal_downsample": [
            down.format(level * step + blocks) + "time_conv.weight" in header
            for level in range(halvings)
        ],
        "input_channels": channels,
    }


def read_wan_vae(header: Header, prefix: str, latent: LatentRules | None = None) -> VaeSpec:
    """Return the autoencoder below a prefix; Qwen-Image-Layered's has pictures with alpha.

    Args:
        header: of the file.
        prefix: of its keys.
        latent: the family's; None for a VAE alone, whose latents are not scaled.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
    """
    network = wan_vae_network(header, prefix)
    downscale = 2 ** len(network.config["temperal_downsample"])
    own = LatentRules(network.config["z_dim"], downscale, scale=1.0)
    return VaeSpec(network, latent or own, picture_channels=network.config["input_channels"])


PART = Part("vae", VAE_PREFIX, wan_vae_table, own_key)
