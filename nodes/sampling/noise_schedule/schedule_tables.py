"""Noise levels that were searched for once, for a few steps, and published as tables."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from nodes.sampling.noise_schedule.parameterization import Discrete

_SD1_TIMESTEPS = (999, 850, 736, 645, 545, 455, 343, 233, 124, 24, 0)
_SDXL_TIMESTEPS = (999, 845, 730, 587, 443, 310, 193, 116, 53, 13, 0)


def _levels(timesteps: Sequence[int]) -> tuple[float, ...]:
    return tuple(float(level) for level in Discrete.scaled_linear().sigmas[list(timesteps)])


ALIGN_YOUR_STEPS: Mapping[str, Sequence[float]] = MappingProxyType(
    {
        "SD1": _levels(_SD1_TIMESTEPS),
        "SDXL": _levels(_SDXL_TIMESTEPS),
        "SVD": (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
    }
)
"""Ten steps each, as their authors published them (Sabour et al. 2024, arXiv:2404.14507)."""

OPTIMAL_STEPS: Mapping[str, Sequence[float]] = MappingProxyType(
    {"FLUX": (0.9968, 0.9886, 0.9819, 0.975, 0.966, 0.9471, 0.9158, 0.8287, 0.5512, 0.2808, 0.001)}
)
"""Ten steps for FLUX.1-dev (Pei et al. 2025, arXiv:2503.21774)."""


def tabled_sigmas(levels: Sequence[float], steps: int, denoise: float = 1.0) -> Tensor:
    """Return a table's levels at another number of steps: log sigma is interpolated.

    Args:
        levels: descending, the last of them where 0 will be.
        steps: of the whole schedule.
        denoise: below 1, only this share of the steps, the last ones.

    Returns:
        [steps * denoise + 1] float32, ending at 0; empty where no step is left.
    """
    used = round(steps * denoise)
    if used == 0:
        return torch.empty(0)
    positions = np.linspace(0.0, 1.0, steps + 1)
    logs = np.interp(positions, np.linspace(0.0, 1.0, len(levels)), np.log(levels))
    sigmas = torch.from_numpy(np.exp(logs)).float()[-(used + 1) :]  # pyright: ignore[reportUnknownMemberType]
    sigmas[-1] = 0.0
    return sigmas
