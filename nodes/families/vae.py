"""Autoencoders, in a checkpoint or in a file of their own."""

from collections.abc import Iterable

from nodes.errors import NotAVaeError
from nodes.families.family import LatentRules, NetworkSpec, Part, VaeSpec
from nodes.families.ldm import VAE_PREFIX, own_vae_key, vae_table
from nodes.families.shapes import first_in, vae_config
from nodes.families.tiny_vae import is_tiny, named, read_tiny_vae
from nodes.weights.header import Header
from nodes.weights.tables import Source

PREFIXES = (VAE_PREFIX, "vae.")
PART = Part("vae", VAE_PREFIX, vae_table, own_vae_key)
_MARK = "decoder.conv_in.weight"


def read_vae(header: Header, latent: LatentRules) -> VaeSpec | None:
    """The autoencoder of a checkpoint, if it has one.

    Args:
        header: of the file.
        latent: the family's.

    Raises:
        MissingWeightsError: it is there in part.
        BadMetadataError: an override in the metadata has no meaning.
    """
    prefix = first_in(header, PREFIXES, _MARK)
    return None if prefix is None else VaeSpec(_network(header, prefix), latent)


def read_lone_vae(header: Header) -> VaeSpec:
    """The autoencoder of a file that holds nothing else that matters.

    Raises:
        NotAVaeError: there is none.
        MissingWeightsError: it is there in part.
        BadMetadataError: an override in the metadata has no meaning.
    """
    if is_tiny(header):
        return read_tiny_vae(header, named(header))
    prefix = first_in(header, PREFIXES if header.own else ("", *PREFIXES), _MARK)
    if prefix is None:
        raise NotAVaeError(header.path, header.summary)
    network = _network(header, prefix)
    downscale = 2 ** (len(network.config["block_out_channels"]) - 1)
    return VaeSpec(network, LatentRules(network.config["latent_channels"], downscale, scale=1.0))


def pixel_space() -> VaeSpec:
    """The autoencoder whose latents are the pictures themselves."""
    network = NetworkSpec("pixels", "vae", {}, "", _no_weights)
    return VaeSpec(network, LatentRules(channels=3, downscale=1, scale=1.0))


def _no_weights(_keys: Iterable[str], _prefix: str) -> dict[str, Source]:
    return {}


def _network(header: Header, prefix: str) -> NetworkSpec:
    return NetworkSpec("vae", "vae", vae_config(header, prefix), prefix, vae_table)
