"""DiffSynth-Studio's ControlNets for Qwen-Image (canny, depth, inpainting): model patches.

The layout is that of `QwenImageBlockWiseControlNet` there (Apache-2.0).
"""

from typing import Any

from nodes.models.families.base.shapes import count, shape_of
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.families.controlnets.spec import ControlSpec
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import identity_table

_NAME = "qwen_image_blockwise_controlnet"
_PART = "ControlNet"
_HINT = "img_in.weight"
_MARK = "controlnet_blocks.0.y_rms.weight"
_CHANNELS, _PATCH = 16, 2


def recognises(header: Header) -> bool:
    """Return True for a hint's embedder, and a block that norms it beside the states."""
    return _HINT in header and _MARK in header


def read(header: Header) -> ControlSpec:
    """Return the ControlNet, from the shapes; one for inpainting also reads a mask.

    Raises:
        MissingWeightsError: it is incomplete.
    """
    config = _config(header)
    network = NetworkSpec(_NAME, _NAME, config, "", identity_table)
    masked = config["channels"] > _CHANNELS
    return ControlSpec(network, reads="latent", channels=_CHANNELS, masked=masked)


def _config(header: Header) -> dict[str, Any]:
    """Return the configuration of a `BlockwiseControlNet`."""
    width, numbers = shape_of(header, _HINT, _PART)
    return {
        "blocks": count(header, "controlnet_blocks.{}.y_rms.weight"),
        "channels": numbers // _PATCH**2,
        "width": width,
    }
