"""Key tables of the original Stable Diffusion code's layout, shared by SD 1, SD 2 and SDXL.

Each table is derived from the network's own keys. The correspondence is the one in diffusers'
`convert_original_stable_diffusion` scripts (Apache-2.0).
"""

import re
from collections.abc import Callable, Iterable

from nodes.models.weights.key_table import Op, Source

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."

_UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_UNET_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}
_FORMER_ATTENTION = {
    "query": "to_q",
    "key": "to_k",
    "value": "to_v",
    "proj_attn": "to_out.0",
}
"""The names that diffusers had for these before version 0.18."""
_VAE_PARTS = {"resnets": "block", "downsamplers": "downsample", "upsamplers": "upsample"}
_UNET_KEY = re.compile(
    r"(?:(?P<side>down|up)_blocks\.(?P<block>\d+)|mid_block)"
    r"\.(?P<kind>resnets|attentions|downsamplers|upsamplers)\.(?P<index>\d+)\.(?P<rest>.+)"
)
_VAE_KEY = re.compile(
    r"(?P<half>encoder|decoder)\."
    r"(?:(?:down|up)_blocks\.(?P<block>\d+)|mid_block)"
    r"\.(?P<kind>resnets|attentions|downsamplers|upsamplers)\.(?P<index>\d+)\.(?P<rest>.+)"
)


def unet_table(keys: Iterable[str], prefix: str = UNET_PREFIX) -> dict[str, Source]:
    """Return the key table of a `UNet2DConditionModel`.

    Args:
        keys: all of the network's own, which tell how deep its blocks are.
        prefix: of every key of the file.
    """
    keys = list(keys)
    stride = 1 + _count(keys, r"down_blocks\.0\.resnets\.(\d+)")
    attentive = {m[1] for k in keys if (m := re.match(r"up_blocks\.(\d+)\.attentions", k))}

    def original(key: str) -> str:
        match = _UNET_KEY.fullmatch(key)
        if not match:
            return _replace_start(key, _UNET_ENDS)
        rest = match["rest"]
        if match["kind"] == "resnets":
            rest = _replace_start(rest, _UNET_RESNET)
        elif match["kind"] == "downsamplers":
            rest = rest.replace("conv.", "op.")
        return f"{_unet_place(match, stride, match['block'] in attentive)}.{rest}"

    return _table(keys, prefix, original)


def _unet_place(match: re.Match[str], stride: int, attentive: bool) -> str:
    """Return the place of a block's part in the flat lists of the original."""
    kind, index = match["kind"], int(match["index"])
    if match["side"] is None:
        return f"middle_block.{1 if kind == 'attentions' else 2 * index}"
    start = int(match["block"]) * stride
    if kind == "downsamplers":
        return f"input_blocks.{start + stride}.0"
    if kind == "upsamplers":
        return f"output_blocks.{start + stride - 1}.{2 if attentive else 1}"
    part = 0 if kind == "resnets" else 1
    if match["side"] == "down":
        return f"input_blocks.{start + 1 + index}.{part}"
    return f"output_blocks.{start + index}.{part}"


def vae_table(keys: Iterable[str], prefix: str = VAE_PREFIX) -> dict[str, Source]:
    """Return the key table of an `AutoencoderKL`; arguments as for `unet_table`."""
    keys = list(keys)
    levels = _count(keys, r"decoder\.up_blocks\.(\d+)")

    def original(key: str) -> str:
        match = _VAE_KEY.fullmatch(key)
        if not match:
            return key.replace("conv_norm_out", "norm_out")
        rest = match["rest"].replace("conv_shortcut", "nin_shortcut")
        if match["kind"] == "attentions":
            rest = _replace_start(rest, _VAE_ATTENTION)
        return f"{_vae_place(match, levels)}.{rest}"

    def op(key: str) -> Op:
        linear = ".attentions." in key and key.endswith(".weight") and "group_norm" not in key
        return "conv1x1" if linear else "id"

    return _table(keys, prefix, original, op)


def own_key(key: str) -> str:
    """Return the network's key for a U-Net's or a transformer's key in a file of diffusers."""
    return key


def own_vae_key(key: str) -> str:
    """Return the network's key for an autoencoder's key in a file of diffusers."""
    match = _VAE_KEY.fullmatch(key)
    if not match or match["kind"] != "attentions":
        return key
    return key.removesuffix(match["rest"]) + _replace_start(match["rest"], _FORMER_ATTENTION)


def _vae_place(match: re.Match[str], levels: int) -> str:
    half, kind, index = match["half"], match["kind"], int(match["index"])
    if match["block"] is None:
        part = "attn" if kind == "attentions" else "block"
        return f"{half}.mid.{part}_{index + 1}"
    block = int(match["block"])
    place = f"encoder.down.{block}" if half == "encoder" else f"decoder.up.{levels - 1 - block}"
    return f"{place}.{_VAE_PARTS[kind]}" + (f".{index}" if kind == "resnets" else "")


def _table(
    keys: Iterable[str],
    prefix: str,
    original: Callable[[str], str],
    op: Callable[[str], Op] = lambda _: "id",
) -> dict[str, Source]:
    return {key: Source(prefix + original(key), op(key)) for key in keys}


def _count(keys: Iterable[str], pattern: str) -> int:
    """Return the highest number that the pattern finds, plus one."""
    return 1 + max(int(match[1]) for key in keys if (match := re.match(pattern, key)))


def _replace_start(key: str, names: dict[str, str]) -> str:
    """Replace the longest leading part of `key` that `names` knows."""
    found = max((n for n in names if key.startswith(n + ".")), key=len, default="")
    return names[found] + key[len(found) :] if found else key
