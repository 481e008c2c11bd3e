"""ControlNets for U-Nets: how to recognise one, read its configuration and name its keys.

Files have the original code's layout, with the prefix `control_model.` or none, or diffusers',
whose names are the network's own. The correspondence is the one in diffusers'
`convert_original_controlnet_to_diffusers` (Apache-2.0).
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from nodes.models.families.base.ldm_keys import unet_table
from nodes.models.families.base.shapes import count, first_in
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.families.controlnets.spec import KINDS, ControlSpec
from nodes.models.families.denoisers.unets.layouts import encoder_config
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source, identity_table

_NAME = "controlnet"
_PREFIXES = ("control_model.", "")
_LORA = "lora_controlnet"
"""A key of Control-LoRAs, which hold changes to the model that they steer."""
_HINT = "controlnet_cond_embedding."
_OWN = ("controlnet_", "control_add_embedding.", "task_embedding", "transformer_layes.", "spatial_")
_HEADS = 8
_UNION = {"task_embedding", "spatial_ch_projs.weight", "control_add_embedding.linear_1.weight"}


def recognises(header: Header) -> bool:
    """Return True for convolutions that shrink a picture to the latent's size, in either layout."""
    return f"{_HINT}conv_in.weight" in header or _prefix(header) is not None


def read(header: Header) -> ControlSpec:
    """Return the ControlNet, from the shapes.

    Raises:
        MissingWeightsError: it is incomplete.
        BadMetadataError: its metadata has no meaning.
    """
    if _LORA in header:
        config = controlnet_config(_whole(header), "")
        network = NetworkSpec(_NAME, _NAME, config, "", controlnet_table, completed=True)
        return ControlSpec(network)
    prefix = _prefix(header)
    if prefix is not None:
        config = controlnet_config(header, prefix)
        return ControlSpec(NetworkSpec(_NAME, _NAME, config, prefix, controlnet_table))
    table = controlnet_table(header.tensors, "")
    infos = {table[key].key: info for key, info in header.tensors.items()}
    union = _union_config(header)
    config = controlnet_config(replace(header, tensors=infos), "") | union
    kinds = {kind: n for n, kind in enumerate(KINDS[: union.get("num_control_type", 0)])}
    return ControlSpec(NetworkSpec(_NAME, _NAME, config, "", identity_table), kinds=kinds)


def factors(key: str) -> tuple[str, str]:
    """Return a Control-LoRA's keys of the two factors of a change to a weight."""
    stem = key.removesuffix("weight")
    return f"{stem}up", f"{stem}down"


def _whole(header: Header) -> Header:
    """Return a Control-LoRA's header with the shapes of the weights that its factors make."""
    found = dict(header.tensors)
    for key, up in header.tensors.items():
        down = header.tensors.get(f"{key.removesuffix('up')}down")
        if key.endswith(".up") and down is not None:
            shape = (up.shape[0], *down.shape[1:])
            found[f"{key.removesuffix('up')}weight"] = replace(up, shape=shape)
    return replace(header, tensors=found)


def _prefix(header: Header) -> str | None:
    """Return the prefix of the original layout's keys, if the file has this layout."""
    return first_in(header, _PREFIXES, "input_hint_block.0.weight")


def controlnet_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of a `ControlNetModel` in the original layout."""
    config = encoder_config(header, prefix)
    convolutions = count(header, prefix + "input_hint_block.{}.weight", step=2)
    hint = [header.shape(f"{prefix}input_hint_block.{2 * i}.weight") for i in range(convolutions)]
    widths = config["block_out_channels"]
    heads = [width // 64 for width in widths] if config["use_linear_projection"] else _HEADS
    return {
        "attention_head_dim": heads,
        **config,
        "conditioning_channels": hint[0][1],
        "conditioning_embedding_out_channels": [shape[0] for shape in hint[:-1:2]],
    }


def controlnet_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a `ControlNetModel`; see `ldm_keys.unet_table`."""
    keys = list(keys)
    own = [key for key in keys if key.startswith(_OWN)]
    hint = {key.split(".")[2] for key in own if key.startswith(f"{_HINT}blocks.")}
    table = unet_table((key for key in keys if key not in own), prefix)
    return table | {key: Source(prefix + _original(key, len(hint))) for key in own}


def _original(key: str, blocks: int) -> str:
    """Return the original name of a part that a U-Net does not have."""
    name, _, parameter = key.rpartition(".")
    places = {
        f"{_HINT}conv_in": "input_hint_block.0",
        f"{_HINT}conv_out": f"input_hint_block.{2 * (blocks + 1)}",
        "controlnet_mid_block": "middle_block_out.0",
    }
    if name in places:
        return f"{places[name]}.{parameter}"
    part, _, number = name.rpartition(".")
    if part == f"{_HINT}blocks":
        return f"input_hint_block.{2 * (int(number) + 1)}.{parameter}"
    return f"zero_convs.{number}.0.{parameter}" if part == "controlnet_down_blocks" else key


def _union_config(header: Header) -> dict[str, Any]:
    """Return the further configuration of a `ControlNetUnionModel`; empty for any other."""
    if not all(key in header for key in _UNION):
        return {}
    kinds, width = header.shape("task_embedding")
    embedded = header.shape("control_add_embedding.linear_1.weight")[1]
    return {
        "num_control_type": kinds,
        "num_trans_channel": width,
        "num_trans_layer": count(header, "transformer_layes.{}.attn.in_proj_weight"),
        "num_proj_channel": header.shape("spatial_ch_projs.weight")[0],
        "addition_time_embed_dim": embedded // kinds,
    }
