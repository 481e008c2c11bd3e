"""ControlNets for Z-Image ("Fun Union"): blocks beside the transformer's, which read a latent.

Files have diffusers' names; what tells the published versions apart is in
`convert_z_image_controlnet_checkpoint_to_diffusers` there (Apache-2.0).
"""

from typing import Any

from nodes.models.families.base.shapes import count, overrides, shape_of
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.families.controlnets.spec import ControlSpec
from nodes.models.weights.header import Header, read_numbers
from nodes.models.weights.key_table import identity_table

_NAME = "z_image_controlnet"
_PART = "ControlNet"
_MARK = "control_all_x_embedder.2-1.weight"
_STEERING = "control_noise_refiner.0.after_proj.bias"
_LAYERS = 30
"""Of the transformer; its ControlNets steer every second or fifth one."""
_LITE = 3
"""The blocks of the small ones, which are for layers 0, 14 and 28."""
_CHANNELS, _PATCH = 16, 2


def recognises(header: Header) -> bool:
    """Return True for an embedder of the hint's patches."""
    return _MARK in header


def read(header: Header) -> ControlSpec:
    """Return the ControlNet, from the shapes.

    Raises:
        MissingWeightsError: it is incomplete.
        BadMetadataError: an override in the metadata has no meaning.
    """
    config = _config(header)
    network = NetworkSpec(_NAME, _NAME, config, "", identity_table)
    fills = config["control_in_dim"] > _CHANNELS
    return ControlSpec(network, reads="latent", channels=_CHANNELS, fills=fills)


def _config(header: Header) -> dict[str, Any]:
    """Return the configuration of a `ZImageControlNetModel`."""
    width, patch = shape_of(header, _MARK, _PART)
    (head,) = shape_of(header, "control_layers.0.attention.norm_q.weight", _PART)
    layers = count(header, "control_layers.{}.after_proj.weight")
    step = 14 if layers == _LITE else max(1, _LAYERS // max(1, layers))
    refiners = count(header, "control_noise_refiner.{}.attention.to_q.weight")
    steering = _STEERING in header
    return {
        "control_layers_places": [number * step for number in range(layers)],
        "control_refiner_layers_places": list(range(refiners)) if steering else None,
        "control_in_dim": patch // _PATCH**2,
        "add_control_noise_refiner": _refiner(header) if steering else None,
        "dim": width,
        "n_refiner_layers": refiners,
        "n_heads": width // head,
        "n_kv_heads": width // head,
        **overrides(header, _NAME, {"control_layers_places"}),
    }


def _refiner(header: Header) -> str:
    """Return the blocks that steer the picture's own: version 2.1's, or the others in 2.0.

    Version 2.0 was trained without those that it has, whose ends have stayed zero.
    """
    return "control_noise_refiner" if any(read_numbers(header, _STEERING)) else "control_layers"
