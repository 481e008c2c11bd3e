"""InstantX's ControlNets for Qwen-Image, in diffusers' layout."""

from typing import Any

from nodes.models.families.base.shapes import count, shape_of
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.families.controlnets.spec import ControlSpec
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import identity_table

_NAME = "qwen_image_controlnet"
_PART = "ControlNet"
_HINT = "controlnet_x_embedder.weight"
_MARKS = (_HINT, "controlnet_blocks.0.weight", "transformer_blocks.0.img_mod.1.weight")
_CHANNELS = 16


def recognises(header: Header) -> bool:
    """Return True for an output layer for each of Qwen-Image's blocks, and a hint's embedder."""
    return all(mark in header for mark in _MARKS)


def read(header: Header) -> ControlSpec:
    """Return the ControlNet, from the shapes; one for inpainting also reads a mask.

    Raises:
        MissingWeightsError: it is incomplete.
    """
    config = _config(header)
    network = NetworkSpec(_NAME, _NAME, config, "", identity_table)
    masked = config["extra_condition_channels"] > 0
    return ControlSpec(network, reads="latent", channels=_CHANNELS, masked=masked)


def _config(header: Header) -> dict[str, Any]:
    """Return the configuration of a `QwenImageControlNetModel`."""
    width, channels = shape_of(header, "img_in.weight", _PART)
    (head,) = shape_of(header, "transformer_blocks.0.attn.norm_q.weight", _PART)
    side = head * 7 // 32 * 2
    return {
        "in_channels": channels,
        "num_layers": count(header, "transformer_blocks.{}.img_mod.1.weight"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shape_of(header, "txt_in.weight", _PART)[1],
        "axes_dims_rope": [head - 2 * side, side, side],
        "extra_condition_channels": shape_of(header, _HINT, _PART)[1] - channels,
    }
