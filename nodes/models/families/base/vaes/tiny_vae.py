"""TAESD autoencoders: the latents they are for, and the keys of their weights.

The original has a file for each half, with numbered layers. In diffusers' layout both halves are
one file, and the decoder's first layer, which has no weights, is not counted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePath

from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.families.base.shapes import shape_of
from nodes.models.families.base.spec import LatentRules, NetworkSpec, VaeSpec
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source
from nodes.models.weights.tensor_info import TensorInfo

FOLDER = "vae_approx"
KNOWN: Mapping[str, tuple[int, float, float]] = {
    "taesd": (4, 0.18215, 0.0),
    "taesdxl": (4, 0.13025, 0.0),
    "taesd3": (16, 1.5305, 0.0609),
    "taef1": (16, 0.3611, 0.1159),
}
"""The channels, the scale and the shift of the latents that each is for."""
_DOWNSCALE = 8
_PART = "VAE"
_MARKS = ("decoder.layers.0.weight", "encoder.layers.0.weight")


def name_for(latent: LatentRules) -> str | None:
    """Return the name of the TAESD for such latents; None if there is none."""
    fits = KNOWN.get(latent.tiny_vae) == (latent.channels, latent.scale, latent.shift)
    return latent.tiny_vae if fits else None


def is_tiny(header: Header) -> bool:
    """Return True for a file with both halves in diffusers' layout."""
    return all(mark in header for mark in _MARKS)


def join_halves(encoder: Header | None, decoder: Header) -> Header:
    """Return both halves of the original layout under diffusers' names; the encoder is optional.

    Raises:
        UnrecognisedFileError: a file's layers are not numbered.
    """
    tensors = _rename_layers(decoder, "decoder.layers.", shift=-1)
    if encoder is not None:
        tensors |= _rename_layers(encoder, "encoder.layers.", shift=0)
    return replace(decoder, tensors=tensors)


def read_tiny_vae(header: Header, name: str) -> VaeSpec:
    """Return the autoencoder of a header in diffusers' layout.

    Args:
        header: of the file.
        name: its name in `KNOWN`.

    Raises:
        UnrecognisedFileError: its latents have other channels.
        MissingWeightsError: it is incomplete.
    """
    width, channels = shape_of(header, _MARKS[0], _PART)[:2]
    expected, scale, shift = KNOWN[name]
    if channels != expected:
        seen = f"its latents have {channels} channels, those of {name} have {expected}"
        raise UnrecognisedFileError(header.path, seen, code="not_a_vae")
    config = {
        "latent_channels": channels,
        "width": width,
        "encodes": _MARKS[1] in header,
        "scale": scale,
        "shift": shift,
    }
    network = NetworkSpec("tiny_vae", "vae", config, "", tiny_table)
    return VaeSpec(network, LatentRules(channels, _DOWNSCALE, scale=1.0))


def known_name(header: Header) -> str:
    """Return the name in `KNOWN` that a file's name contains.

    Raises:
        UnrecognisedFileError: its name does not say.
    """
    found = [name for name in KNOWN if name in PurePath(header.path).stem.lower()]
    if not found:
        seen = f"a small one, whose name does not say which: {', '.join(KNOWN)}"
        raise UnrecognisedFileError(header.path, seen, code="not_a_vae")
    return max(found, key=len)


def tiny_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table: diffusers' names are the network's own."""
    return {key: Source(prefix + key) for key in keys}


def _rename_layers(header: Header, prefix: str, *, shift: int) -> dict[str, TensorInfo]:
    renamed: dict[str, TensorInfo] = {}
    for key, info in header.tensors.items():
        number, _, rest = key.partition(".")
        if not number.isdecimal():
            raise UnrecognisedFileError(header.path, header.summary, code="not_a_vae")
        renamed[f"{prefix}{int(number) + shift}.{rest}"] = info
    return renamed
