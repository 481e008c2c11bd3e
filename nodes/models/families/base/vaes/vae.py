"""Autoencoders, in a checkpoint or in a file of their own."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.families.base.ldm_keys import VAE_PREFIX, own_vae_key, vae_table
from nodes.models.families.base.shapes import count, first_in, overrides, shape_of
from nodes.models.families.base.spec import LatentRules, NetworkSpec, Part, VaeSpec
from nodes.models.families.base.vaes.flux2_vae import MARK as FLUX2_MARK
from nodes.models.families.base.vaes.flux2_vae import read_flux2_vae
from nodes.models.families.base.vaes.qwen21_vae import MARK as QWEN21_MARK
from nodes.models.families.base.vaes.qwen21_vae import read_qwen21_vae
from nodes.models.families.base.vaes.tiny_vae import is_tiny, known_name, read_tiny_vae
from nodes.models.families.base.vaes.wan_vae import MARK as WAN_MARK
from nodes.models.families.base.vaes.wan_vae import read_wan_vae
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

PREFIXES = (VAE_PREFIX, "vae.")
PART = Part("vae", VAE_PREFIX, vae_table, own_vae_key)
_MARK = "decoder.conv_in.weight"
_MARKED = {QWEN21_MARK: read_qwen21_vae, FLUX2_MARK: read_flux2_vae, WAN_MARK: read_wan_vae}
"""The functions that read the autoencoders that have a key of their own."""


def read_vae(header: Header, latent: LatentRules, *, fits_float16: bool = False) -> VaeSpec | None:
    """Return the autoencoder of a checkpoint, if it has one.

    Args:
        header: of the file.
        latent: the family's.
        fits_float16: see `NetworkSpec`.

    Raises:
        MissingWeightsError: it is incomplete.
        BadMetadataError: an override in the metadata has no meaning.
    """
    marked = _read_marked(header, PREFIXES, latent)
    if marked is not None:
        return marked
    prefix = first_in(header, PREFIXES, _MARK)
    if prefix is None:
        return None
    return VaeSpec(replace(_network(header, prefix), fits_float16=fits_float16), latent)


def read_lone_vae(header: Header) -> VaeSpec:
    """Return the autoencoder of a file of its own.

    Raises:
        UnrecognisedFileError: there is none.
        MissingWeightsError: it is incomplete.
        BadMetadataError: an override in the metadata has no meaning.
    """
    if is_tiny(header):
        return read_tiny_vae(header, known_name(header))
    prefixes = PREFIXES if header.own else ("", *PREFIXES)
    marked = _read_marked(header, prefixes)
    if marked is not None:
        return marked
    prefix = first_in(header, prefixes, _MARK)
    if prefix is None:
        raise UnrecognisedFileError(header.path, header.summary, code="not_a_vae")
    network = _network(header, prefix)
    downscale = 2 ** (len(network.config["block_out_channels"]) - 1)
    return VaeSpec(network, LatentRules(network.config["latent_channels"], downscale, scale=1.0))


def _read_marked(
    header: Header, prefixes: Sequence[str], latent: LatentRules | None = None
) -> VaeSpec | None:
    """Return an autoencoder that a key tells; None if it is of another kind."""
    for mark, read in _MARKED.items():
        prefix = first_in(header, prefixes, mark)
        if prefix is not None:
            return read(header, prefix, latent)
    return None


def pixel_space() -> VaeSpec:
    """Return the autoencoder whose latents are the pictures themselves."""
    network = NetworkSpec("pixels", "vae", {}, "", _no_weights)
    return VaeSpec(network, LatentRules(channels=3, downscale=1, scale=1.0))


def _no_weights(_keys: Iterable[str], _prefix: str) -> dict[str, Source]:
    return {}


def _network(header: Header, prefix: str) -> NetworkSpec:
    return NetworkSpec("vae", "vae", vae_config(header, prefix), prefix, vae_table)


def vae_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of an `AutoencoderKL`."""
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
        **overrides(header, "vae", {"norm_num_groups"}),
    }
