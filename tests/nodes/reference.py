"""The reference numbers, and how far from them we are."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from nodes.sampling.noise_schedule.parameterization import Discrete, Flow, Parameterization

_FOLDER = Path(__file__).parent.parent / "parity"

MODELS: dict[str, Parameterization] = {
    "sd15_eps": Discrete.scaled_linear(),
    "sd21_v": Discrete.scaled_linear("v"),
    "sdxl_eps": Discrete.scaled_linear(),
    "sd3_flow_shift3": Flow.with_shift(3.0),
    "flux_dev_shift1.15": Flow.from_mu(1.15),
    "flux_schnell_shift1": Flow.with_shift(1.0, multiplier=1.0),
    "sdxl_v_zsnr": Discrete.scaled_linear("v", zero_terminal_snr=True),
}


@cache
def numbers(name: str) -> dict[str, Any]:
    return json.loads((_FOLDER / f"{name}.json").read_text())


@cache
def tensors(name: str) -> dict[str, Tensor]:
    return load_file(_FOLDER / f"{name}.safetensors")


def distance(found: Tensor, expected: Tensor) -> float:
    """The largest difference in standard deviations of what is expected."""
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.std())


def relative(found: Tensor, expected: list[float]) -> float:
    """The largest relative difference; NaN equals NaN."""
    wanted = torch.tensor(expected, dtype=torch.float64)
    assert found.shape == wanted.shape
    assert torch.equal(found.isnan(), wanted.isnan())
    if not expected:
        return 0.0
    difference = (found.double() - wanted).abs() / wanted.abs().clamp(min=1e-9)
    return float(difference.nan_to_num(0.0).max())
