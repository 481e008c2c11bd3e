"""`comfy.lora`: LoRAs as changes of weights, for `add_patches`."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nodes.comfy.values.encoders import TextEncoders
from nodes.comfy.values.inner_model import InnerModel
from nodes.comfy.values.patches.weight_names import lora_names
from nodes.comfy.values.patches.weight_values import LoraModule, calculate
from nodes.models.patches.lora_file import modules_of
from nodes.models.patches.lora_math import bias_change


def model_lora_keys_unet(
    model: InnerModel, key_map: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the weight of each name that a LoRA may have for a denoiser's; adds to `key_map`."""
    found = {} if key_map is None else key_map
    found.update(lora_names(model.network))
    return found


def model_lora_keys_clip(
    model: TextEncoders, key_map: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the weight of each name that a LoRA may have for text encoders'."""
    found = {} if key_map is None else key_map
    for network in model.networks.values():
        found.update(lora_names(network))
    return found


def load_lora(
    lora: Mapping[str, Tensor], to_load: Mapping[str, Any], log_missing: bool = True
) -> dict[Any, Any]:
    """Return a LoRA's changes by the weights that they are for, for `add_patches`.

    Args:
        lora: the tensors of its file.
        to_load: as from `model_lora_keys_unet` and `model_lora_keys_clip`.
        log_missing: without effect.
    """
    found: dict[Any, Any] = {}
    for name, keys in modules_of(lora).items():
        if name not in to_load:
            continue
        place, parts = to_load[name], {part: lora[key] for part, key in keys.items()}
        biases = bias_change(parts)
        whole = {part: each for part, each in parts.items() if part not in ("diff_b", "up_bias")}
        if whole:
            found[place] = LoraModule(whole)
        if biases:
            own = place[0] if isinstance(place, tuple) else place
            found[f"{own.removesuffix('.weight')}.bias"] = LoraModule(biases)
    return found


def calculate_weight(
    patches: Sequence[Sequence[Any]],
    weight: Tensor,
    key: str,
    intermediate_dtype: torch.dtype = torch.float32,
    original_weights: object = None,
) -> Tensor:
    """Return a weight after the changes that `ModelPatcher.patches` has of it."""
    return calculate(patches, weight).to(weight.dtype)
