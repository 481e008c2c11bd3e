"""`comfy.sampler_helpers`: conditions and masks as samplers take them.

The engine loads models itself, so that there are never further ones to load or to clean up.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nodes.comfy.host.comfy.comfy_utils import reshape_mask
from nodes.comfy.values.conditions import to_entries
from nodes.comfy.values.sampling.guiders import prepare_sampling as prepare_sampling


def convert_cond(cond: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Convert a CONDITIONING to the dicts that guiders hold."""
    return to_entries(cond)


def prepare_mask(noise_mask: Tensor, shape: Sequence[int], device: torch.device) -> Tensor:
    """Return a mask at the size of latents, [batch, channels, h, w], on a device."""
    return reshape_mask(noise_mask, shape).to(device)


def get_models_from_cond(cond: object, model_type: str) -> list[Any]:
    """Return no models: conditions hold none that must be loaded."""
    return []


def get_additional_models(conds: object, dtype: torch.dtype) -> tuple[list[Any], int]:
    """Return no models, and the bytes that they need: 0."""
    return [], 0


def cleanup_models(conds: object, models: object) -> None:
    """Do nothing: the engine frees memory itself."""


def cleanup_additional_models(models: object) -> None:
    """Do nothing: there are no further models."""
