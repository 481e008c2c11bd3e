"""Vision encoders: CLIP's and SigLIP's, in files of their own or in an unCLIP checkpoint."""

import math
from collections.abc import Mapping
from typing import Any

from nodes.models.families.base.encoder_keys import open_vision_table, vision_table
from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.families.base.shapes import count, first_in, overrides, shape_of
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.weights.header import Header

UNCLIP = "embedder.model.visual."
"""The prefix of the vision encoder in an unCLIP checkpoint."""
_PART = "vision encoder"
_METADATA_ENTRIES = frozenset({"num_attention_heads", "hidden_act"})
"""The entries of the configuration that the metadata may set."""
_HF = {
    "patches": "vision_model.embeddings.patch_embedding.weight",
    "positions": "vision_model.embeddings.position_embedding.weight",
    "mlp": "vision_model.encoder.layers.{}.mlp.fc1.weight",
    "projection": "visual_projection.weight",
}
_OPEN = {
    "patches": "conv1.weight",
    "positions": "positional_embedding",
    "mlp": "transformer.resblocks.{}.mlp.c_fc.weight",
    "projection": "proj",
}
_CLASS = "vision_model.embeddings.class_embedding"
_HEAD = "vision_model.head.probe"
_OPEN_PREFIXES = ("visual.", UNCLIP, "")
_SIXTEEN_HEADS = (1152, 1280, 1536, 1664)
"""The widths whose heads are not 64 wide."""
_OPENAI_WIDEST = 1024
_SIGLIP_384 = 729
"""The patches of 14 pixels of a picture of 384, of which 6 pixels are left over each way."""


def vision_spec(header: Header) -> NetworkSpec:
    """Return the vision encoder in a file.

    Raises:
        UnrecognisedFileError: none that is known here.
        MissingWeightsError: it is incomplete.
        BadMetadataError: an override in the metadata has no meaning.
    """
    if _HF["patches"] in header:
        config = _siglip(header) if _CLASS not in header else _clip(header, "", _HF)
        return NetworkSpec("vision", "vision", config, "", vision_table)
    prefix = first_in(header, _OPEN_PREFIXES, _OPEN["patches"])
    if prefix is None:
        raise UnrecognisedFileError(header.path, header.summary, code="not_a_vision_encoder")
    config = _clip(header, prefix, _OPEN)
    return NetworkSpec("vision", "vision", config, prefix, open_vision_table)


def clip_vision_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of a `CLIPVisionModel` in transformers' layout."""
    return _clip(header, prefix, _HF)


def _clip(header: Header, prefix: str, parts: Mapping[str, str]) -> dict[str, Any]:
    """Return the configuration of a `CLIPVisionModel`; with a `projection_dim` for a projection.

    OpenAI's encoders are up to 1024 wide, OpenCLIP's, with another activation, wider.
    """
    sizes = _sizes(header, prefix, parts, extra=1)
    width, projection = sizes["hidden_size"], prefix + parts["projection"]
    projected = {}
    if projection in header:
        rows, columns = header.shape(projection)
        projected = {"projection_dim": columns if parts is _OPEN else rows}
    return {
        "model_type": "clip",
        "hidden_act": "quick_gelu" if width <= _OPENAI_WIDEST else "gelu",
        **sizes,
        **projected,
        **overrides(header, "vision", _METADATA_ENTRIES),
    }


def _siglip(header: Header) -> dict[str, Any]:
    """Return the configuration of a `SiglipVisionModel`."""
    sizes = _sizes(header, "", _HF, extra=0)
    if sizes["patch_size"] == 14 and header.shape(_HF["positions"])[0] == _SIGLIP_384:
        sizes["image_size"] = 384
    return {
        "model_type": "siglip",
        "hidden_act": "gelu_pytorch_tanh",
        "vision_use_head": _HEAD in header,
        **sizes,
        **overrides(header, "vision", _METADATA_ENTRIES),
    }


def _sizes(header: Header, prefix: str, parts: Mapping[str, str], extra: int) -> dict[str, Any]:
    """Return the sizes of either encoder; `extra` positions are not of patches."""
    width, channels, patch, _ = shape_of(header, prefix + parts["patches"], _PART)
    positions = shape_of(header, prefix + parts["positions"], _PART)[0]
    return {
        "hidden_size": width,
        "num_channels": channels,
        "patch_size": patch,
        "image_size": patch * math.isqrt(positions - extra),
        "intermediate_size": shape_of(header, prefix + parts["mlp"].format(0), _PART)[0],
        "num_hidden_layers": count(header, prefix + parts["mlp"]),
        "num_attention_heads": 16 if width in _SIXTEEN_HEADS else max(1, width // 64),
    }
