"""`comfy.model_patcher`: the class of MODEL values, and functions that add to model options."""

from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

from torch import Tensor

from nodes.comfy.values.models import PackModel, copy_options
from nodes.comfy.values.patches.patcher import set_replacement
from nodes.comfy.values.sampling.guiders import with_post_cfg

ModelPatcher = PackModel


def create_model_options_clone(orig_model_options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of model options; what they hold besides dicts and lists is shared."""
    return copy_options(orig_model_options)


def set_model_options_post_cfg_function(
    model_options: Mapping[str, Any],
    post_cfg_function: Callable[[dict[str, Any]], Tensor],
    disable_cfg1_optimization: bool = False,
) -> dict[str, Any]:
    """Return model options with one more function that corrects the guided prediction."""
    return with_post_cfg(model_options, post_cfg_function, disable_cfg1_optimization)


def set_model_options_pre_cfg_function(
    model_options: Mapping[str, Any],
    pre_cfg_function: Callable[[dict[str, Any]], list[Tensor]],
    disable_cfg1_optimization: bool = False,
) -> dict[str, Any]:
    """Return model options with one more function that changes the predictions."""
    name = "sampler_pre_cfg_function"
    return with_post_cfg(model_options, pre_cfg_function, disable_cfg1_optimization, name)


def set_model_options_patch_replace(
    model_options: Mapping[str, Any],
    patch: Callable[..., Any],
    name: str,
    block_name: str,
    number: int,
    transformer_index: int | None = None,
) -> dict[str, Any]:
    """Return model options with a function in place of a layer."""
    return set_replacement(model_options, patch, name, block_name, number, transformer_index)


def string_to_seed(data: str) -> int:
    """Return the CRC-32 of a text."""
    return crc32(data.encode())
