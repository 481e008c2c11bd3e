"""Gives an image the colours of another: by moments, by histograms, or by both."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.float64]
"""[pixels, 3]."""

_TO_CONES: Final = np.array(
    [[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]]
)
_TO_OPPONENTS: Final = np.diag([3**-0.5, 6**-0.5, 2**-0.5]) @ np.array(
    [[1.0, 1.0, 1.0], [1.0, 1.0, -2.0], [1.0, -1.0, 0.0]]
)
_DARKEST: Final = 1e-6
_FLATTEST: Final = 1e-12


def match_covariance(source: Colours, target: Colours) -> Colours:
    """Give colours the mean and covariance of others, moving them as little as that takes.

    The Monge-Kantorovich linear map (Pitié and Kokaram 2007, "The linear Monge-Kantorovitch
    linear colour mapping for example-based colour transfer").
    """
    own, other = (np.cov(each, rowvar=False) for each in (source, target))
    root = _root(own)
    inverse = np.linalg.pinv(root, rcond=_FLATTEST)
    mapping = inverse @ _root(root @ other @ root) @ inverse
    return (source - source.mean(axis=0)) @ mapping + target.mean(axis=0)


def match_histograms(source: Colours, target: Colours) -> Colours:
    """Give each channel the distribution of values that it has in others."""
    matched = [_match_channel(source[:, k], target[:, k]) for k in range(source.shape[1])]
    return np.stack(matched, axis=1)


def match_reinhard(source: Colours, target: Colours) -> Colours:
    """Give colours the mean and spread of others in opponent colours (Reinhard et al. 2001)."""
    own, other = _to_opponents(source), _to_opponents(target)
    scale = other.std(axis=0) / np.maximum(own.std(axis=0), _FLATTEST)
    moved = (own - own.mean(axis=0)) * scale + other.mean(axis=0)
    return 10 ** (moved @ np.linalg.inv(_TO_OPPONENTS).T) @ np.linalg.inv(_TO_CONES).T


def _around_histograms(inner: Callable[[Colours, Colours], Colours]) -> "_Match":
    """Return a method with histograms matched before and after it."""

    def match(source: Colours, target: Colours) -> Colours:
        before = match_histograms(source, target)
        return match_histograms(inner(before, target), target)

    return match


_Match = Callable[[Colours, Colours], Colours]

METHODS: Mapping[str, _Match] = {
    "mkl": match_covariance,
    "hm": match_histograms,
    "reinhard": match_reinhard,
    "mvgd": match_covariance,
    "hm-mvgd-hm": _around_histograms(match_covariance),
    "hm-mkl-hm": _around_histograms(match_covariance),
}
"""The methods by the names of the package color-matcher; mvgd's map is the one of mkl."""


def _root(matrix: Colours) -> Colours:
    """Return the symmetric square root of a covariance."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T


def _match_channel(source: Colours, target: Colours) -> Colours:
    _, place, counts = np.unique(source, return_inverse=True, return_counts=True)
    values, others = np.unique(target, return_counts=True)
    shares = counts.cumsum() / source.size
    return np.interp(shares, others.cumsum() / target.size, values)[place]


def _to_opponents(colours: Colours) -> Colours:
    return np.log10(np.maximum(colours @ _TO_CONES.T, _DARKEST)) @ _TO_OPPONENTS.T
