"""Conversion of LATENT from and to ComfyUI's form: a dict of samples and other entries."""

from typing import Any

from torch import Tensor

from nodes.values import Latent

_KNOWN = ("samples", "noise_mask", "batch_index")


def latent_to(latent: Latent) -> dict[str, Any]:
    """Convert a latent to ComfyUI's dict; its tensors are copies."""
    told: dict[str, Any] = {"samples": latent.samples.clone()}
    if latent.noise_mask is not None:
        told["noise_mask"] = latent.noise_mask.clone()
    if latent.batch_index is not None:
        told["batch_index"] = list(latent.batch_index)
    extras = {k: v.clone() if isinstance(v, Tensor) else v for k, v in latent.extras.items()}
    return extras | told


def latent_from(told: dict[str, Any]) -> Latent:
    """Convert ComfyUI's dict to a latent; a mask gets four dimensions."""
    mask, index = told.get("noise_mask"), told.get("batch_index")
    if isinstance(mask, Tensor) and mask.ndim < 4:
        mask = mask.reshape(-1, 1, *mask.shape[-2:])
    return Latent(
        samples=told["samples"],
        noise_mask=mask,
        batch_index=None if index is None else tuple(index),
        extras={key: value for key, value in told.items() if key not in _KNOWN},
    )
