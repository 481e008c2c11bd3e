"""Two latents brought to one shape, for nodes that compute with both."""

from torch import Tensor

from nodes.builtin.latent.errors import LatentMismatchError
from nodes.imaging.resize import LatentMethod, resize
from nodes.sampling.conditioning.latents import LAYERED
from nodes.values import Latent

_LAYERS = 2
"""The axis of layers, in latents that have them."""


def match_axes(other: Latent, to: Latent) -> Tensor:
    """Return the samples of `other` with the axes of `to`, in their own size and batch.

    A latent without layers is the same for all layers of `to`; a single layer can be one without.

    Raises:
        LatentMismatchError: they differ in their number of channels, or of layers.
    """
    theirs, ours = other.samples, to.samples
    if theirs.shape[1] != ours.shape[1]:
        raise LatentMismatchError(ours.shape, theirs.shape, "they differ in their channels")
    layers = ours.shape[_LAYERS] if ours.ndim == LAYERED else 1
    stacked = theirs if theirs.ndim == LAYERED else theirs.unsqueeze(_LAYERS)
    if stacked.shape[_LAYERS] not in (1, layers):
        raise LatentMismatchError(ours.shape, theirs.shape, "they differ in their layers")
    if ours.ndim != LAYERED:
        return stacked.squeeze(_LAYERS)
    return stacked.expand(-1, -1, layers, -1, -1)


def match_size(other: Latent, to: Latent, method: LatentMethod = "bilinear") -> Tensor:
    """Return the samples of `other` in the axes and the size of `to`, cropped to its aspect ratio.

    Raises:
        LatentMismatchError: see `match_axes`.
    """
    theirs = match_axes(other, to)
    height, width = to.samples.shape[-2:]
    if theirs.shape[-2:] == (height, width):
        return theirs
    return resize(theirs, width, height, method, "center")
