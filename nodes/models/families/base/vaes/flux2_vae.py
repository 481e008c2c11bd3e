"""The autoencoder of FLUX.2: squares of four latent pixels are one, normed by statistics within.

Latents have 128 channels and are a sixteenth as large as the picture each way. The layout is that
of the published single file, where the layers on either side of the latents belong to the encoder
and the decoder; in files that others made they lie beside these, as in earlier autoencoders. The
correspondence is the one in diffusers' `convert_flux2_to_diffusers` (Apache-2.0).
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from nodes.models.families.base.ldm_keys import VAE_PREFIX, own_vae_key, vae_table
from nodes.models.families.base.shapes import count, overrides, shape_of
from nodes.models.families.base.spec import LatentRules, NetworkSpec, Part, VaeSpec
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

KIND = "flux2_vae"
MARK = "bn.running_mean"
"""The mean of each channel, which no other autoencoder has; diffusers' name is the same."""
PATCH = 2
"""The latent pixels that are one of the model's, each way."""
LATENT = LatentRules(channels=128, downscale=16, scale=1.0)
"""The model's latents are the autoencoder's."""
_PART = "VAE"
_COUNTER = "bn.num_batches_tracked"
"""The batches that the statistics are of, which only training reads."""
_INSIDE = {"quant_conv": "encoder.quant_conv", "post_quant_conv": "decoder.post_quant_conv"}


def flux2_vae_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of an `AutoencoderKLFlux2`; arguments as for `vae_table`."""
    return {key: _inside(key, source, prefix) for key, source in vae_table(keys, prefix).items()}


def _inside(key: str, source: Source, prefix: str) -> Source:
    layer, _, leaf = key.partition(".")
    return replace(source, key=f"{prefix}{_INSIDE[layer]}.{leaf}") if layer in _INSIDE else source


def own_flux2_key(key: str) -> str | None:
    """Return the network's key for one in a file of diffusers; None if it is no weight."""
    return None if key == _COUNTER else own_vae_key(key)


def flux2_vae_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of an `AutoencoderKLFlux2`.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
        BadMetadataError: an override in the metadata has no meaning.
    """
    levels = count(header, prefix + "encoder.down.{}.block.0.conv1.weight")
    first = "{}{}.{}.block.0.conv1.weight"
    down, up = (
        [shape_of(header, first.format(prefix, half, level), _PART)[0] for level in range(levels)]
        for half in ("encoder.down", "decoder.up")
    )
    convs = {
        f"use_{name}": any(f"{prefix}{key}.weight" in header for key in (name, inside))
        for name, inside in _INSIDE.items()
    }
    return {
        "block_out_channels": down,
        "decoder_block_out_channels": None if up == down else up,
        "layers_per_block": count(header, prefix + "encoder.down.0.block.{}.conv1.weight"),
        "latent_channels": shape_of(header, f"{prefix}decoder.conv_in.weight", _PART)[1],
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "mid_block_add_attention": f"{prefix}encoder.mid.attn_1.norm.weight" in header,
        **convs,
        **overrides(header, "vae", {"norm_num_groups", "batch_norm_eps"}),
    }


def read_flux2_vae(header: Header, prefix: str, latent: LatentRules | None = None) -> VaeSpec:
    """Return the autoencoder below a prefix.

    Args:
        header: of the file.
        prefix: of all its keys.
        latent: the family's; None: those of the VAE alone.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
        BadMetadataError: an override in the metadata has no meaning.
    """
    config = flux2_vae_config(header, prefix)
    beside = f"{prefix}quant_conv.weight" in header
    table = vae_table if beside else flux2_vae_table
    network = NetworkSpec(KIND, "vae", config, prefix, table)
    downscale = PATCH * 2 ** (len(config["block_out_channels"]) - 1)
    own = LatentRules(config["latent_channels"] * PATCH**2, downscale, scale=1.0)
    return VaeSpec(network, latent or own)


PART = Part("vae", VAE_PREFIX, flux2_vae_table, own_flux2_key)
"""Autoencoders, in a checkpoint or in a file of their own."""
