"""TAESD autoencoders: whose latents they are for, and what their weights are called.

The original has a file for each half, with numbered layers; of the decoder's, the first has no
weights and is left out in diffusers' layout, where both halves are one file.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePath

from nodes.models.families.base.errors import NotAVaeError
from nodes.models.families.base.shapes import shape_of
from nodes.models.families.base.spec import LatentRules, NetworkSpec, VaeSpec
from nodes.models.weights.header import Header, TensorInfo
from nodes.models.weights.key_table import Source

FOLDER = "vae_approx"
KNOWN: Mapping[str, tuple[int, float, float]] = {
    "taesd": (4, 0.18215, 0.0),
    "taesdxl": (4, 0.13025, 0.0),
    "taesd3": (16, 1.5305, 0.0609),
    "taef1": (16, 0.3611, 0.1159),
}
"""The channels of the latents that each is for, and their scale and shift."""
_DOWNSCALE = 8
_PART = "VAE"
_MARKS = ("decoder.layers.0.weight", "encoder.layers.0.weight")


def name_for(latent: LatentRules) -> str | None:
    """Return the name of the one that decodes such latents; None if none does."""
    fits = KNOWN.get(latent.tiny_vae) == (latent.channels, latent.scale, latent.shift)
    return latent.tiny_vae if fits else None


def is_tiny(header: Header) -> bool:
    """Whether a file holds both halves in diffusers' layout."""
    return all(mark in header for mark in _MARKS)


def joined(encoder: Header | None, decoder: Header) -> Header:
    """Both halves of the original layout under diffusers' names; the encoder may be missing.

    Raises:
        NotAVaeError: a file's layers are not numbered.
    """
    tensors = _renamed(decoder, "decoder.layers.", shift=-1)
    if encoder is not None:
        tensors |= _renamed(encoder, "encoder.layers.", shift=0)
    return replace(decoder, tensors=tensors)


def read_tiny_vae(header: Header, name: str) -> VaeSpec:
    """The autoencoder of a file in diffusers' layout, or of what `joined` made.

    Args:
        header: of the file.
        name: which of those known it is.

    Raises:
        NotAVaeError: its latents have other channels.
        MissingWeightsError: it is incomplete.
    """
    width, channels = shape_of(header, _MARKS[0], _PART)[:2]
    expected, scale, shift = KNOWN[name]
    if channels != expected:
        seen = f"its latents have {channels} channels, those of {name} have {expected}"
        raise NotAVaeError(header.path, seen)
    config = {
        "latent_channels": channels,
        "width": width,
        "encodes": _MARKS[1] in header,
        "scale": scale,
        "shift": shift,
    }
    network = NetworkSpec("tiny_vae", "vae", config, "", tiny_table)
    return VaeSpec(network, LatentRules(channels, _DOWNSCALE, scale=1.0))


def named(header: Header) -> str:
    """Which of those known a file in diffusers' layout is, by what it is called.

    Raises:
        NotAVaeError: its name does not say.
    """
    found = [name for name in KNOWN if name in PurePath(header.path).stem.lower()]
    if not found:
        seen = f"a small one, whose name does not say which: {', '.join(KNOWN)}"
        raise NotAVaeError(header.path, seen)
    return max(found, key=len)


def tiny_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """The sources of its weights: diffusers' names are the network's own."""
    return {key: Source(prefix + key) for key in keys}


def _renamed(header: Header, prefix: str, *, shift: int) -> dict[str, TensorInfo]:
    renamed: dict[str, TensorInfo] = {}
    for key, info in header.tensors.items():
        number, _, rest = key.partition(".")
        if not number.isdecimal():
            raise NotAVaeError(header.path, header.summary)
        renamed[f"{prefix}{int(number) + shift}.{rest}"] = info
    return renamed
