"""The vision encoders of language models: their records, and their configuration by their shapes.

Files have them below `visual.`, beside the language model that reads what they see.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from nodes.models.families.base.errors import MissingWeightsError
from nodes.models.families.base.shapes import count, overrides, shape_of
from nodes.models.weights.header import Header

VISION = "visual."
"""The start of a vision encoder's keys in the layout that is read and written."""
_PATCHES = "patch_embed.proj.weight"
_PLACES = "pos_embed.weight"
_LAYERS, _NESTED = "deepstack_visual_indexes", "vision_config"
_PART = "vision encoder"


@dataclass(frozen=True, slots=True)
class VisionModel:
    """One architecture of vision encoder that belongs to a language model."""

    kind: str
    """The name of its class of network; see `NetworkSpec`."""
    title: str
    """Its name for people."""
    model: str
    """The class in transformers, as `module:attribute`."""
    config: str
    """The class of its configuration, likewise."""
    mark: str
    """A key below `visual.`: of the linear layer that widens a block's states."""
    merger: tuple[str, str]
    """The weights of the two linear layers that join patches to tokens."""
    constants: Mapping[str, Any]
    """The entries of the configuration that shapes do not tell, of all published sizes."""
    mean: tuple[float, float, float]
    """Of red, green and blue, in [0, 1], in training."""
    deviation: tuple[float, float, float]
    """Of the same."""
    pixels: tuple[int, int]
    """The least and the largest number of pixels of a picture; others are resized."""
    deep_layers: Mapping[int, tuple[int, ...]] | None = None
    """By the number of blocks, those whose states the language model's first layers read, too.

    None if there are none (Meng et al. 2024, arXiv:2406.04334).
    """
    learns_places: bool = False
    """True if it has an embedding of the places of patches."""


QWEN2_5_VISION = VisionModel(
    kind="qwen2_5_vl_vision",
    title="Qwen2.5-VL's vision encoder",
    model="transformers.models.qwen2_5_vl.modeling_qwen2_5_vl:"
    "Qwen2_5_VisionTransformerPretrainedModel",
    config="transformers.models.qwen2_5_vl.configuration_qwen2_5_vl:Qwen2_5_VLVisionConfig",
    mark="blocks.0.mlp.gate_proj.weight",
    merger=("merger.mlp.0.weight", "merger.mlp.2.weight"),
    constants={
        "num_heads": 16,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
        "hidden_act": "silu",
    },
    mean=(0.48145466, 0.4578275, 0.40821073),
    deviation=(0.26862954, 0.26130258, 0.27577711),
    pixels=(56 * 56, 12_845_056),
)
"""Bai et al. 2025, arXiv:2502.13923, section 2.1; constants and sizes by the published files."""
QWEN3_VISION = VisionModel(
    kind="qwen3_vl_vision",
    title="Qwen3-VL's vision encoder",
    model="transformers.models.qwen3_vl.modeling_qwen3_vl:Qwen3VLVisionModel",
    config="transformers.models.qwen3_vl.configuration_qwen3_vl:Qwen3VLVisionConfig",
    mark="blocks.0.mlp.linear_fc1.weight",
    merger=("merger.linear_fc1.weight", "merger.linear_fc2.weight"),
    constants={"num_heads": 16, "hidden_act": "gelu_pytorch_tanh"},
    mean=(0.5, 0.5, 0.5),
    deviation=(0.5, 0.5, 0.5),
    pixels=(256 * 256, 4096 * 4096),
    deep_layers={24: (5, 11, 17), 27: (8, 16, 24)},
    learns_places=True,
)
"""Bai et al. 2025, arXiv:2511.21631; 24 blocks in the sizes 2B and 4B, 27 in the larger ones."""
QWEN3_5_VISION = VisionModel(
    kind="qwen3_5_vision",
    title="Qwen3.5's vision encoder",
    model="transformers.models.qwen3_5.modeling_qwen3_5:Qwen3_5VisionModel",
    config="transformers.models.qwen3_5.configuration_qwen3_5:Qwen3_5VisionConfig",
    mark=QWEN3_VISION.mark,
    merger=QWEN3_VISION.merger,
    constants=QWEN3_VISION.constants,
    mean=QWEN3_VISION.mean,
    deviation=QWEN3_VISION.deviation,
    pixels=QWEN3_VISION.pixels,
    learns_places=True,
)
"""That of Qwen3-VL, of which the language model reads the last block's states alone."""
VISION_MODELS = (QWEN2_5_VISION, QWEN3_VISION, QWEN3_5_VISION)
"""Every record."""


def vision_config(
    header: Header, prefix: str, record: VisionModel, name: str
) -> dict[str, Any] | None:
    """Return the configuration of a vision encoder, by its shapes; None if the file has none.

    The metadata, or the `vision_config` of a folder's `config.json`, may replace what shapes do
    not tell.

    Args:
        header: of the file.
        prefix: of its keys.
        record: its architecture.
        name: of the text encoder that reads what it sees.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
        BadMetadataError: an override in the metadata has no meaning.
    """
    if prefix + record.mark not in header or prefix + _PATCHES not in header:
        return None
    width, channels, frames, patch, _ = shape_of(header, prefix + _PATCHES, _PART)
    joined = shape_of(header, prefix + record.merger[0], _PART)[1]
    blocks = count(header, prefix + "blocks.{}.attn.qkv.weight")
    return {
        "depth": blocks,
        "hidden_size": width,
        "intermediate_size": shape_of(header, prefix + record.mark, _PART)[0],
        "in_channels": channels,
        "patch_size": patch,
        "temporal_patch_size": frames,
        "spatial_merge_size": math.isqrt(joined // width),
        "out_hidden_size": shape_of(header, prefix + record.merger[1], _PART)[0],
        **record.constants,
        **_overrides(header, prefix, record, name, blocks),
    }


def _overrides(
    header: Header, prefix: str, record: VisionModel, name: str, blocks: int
) -> dict[str, Any]:
    """Return the entries that the metadata states, and those of deep layers and positions."""
    allowed = {*record.constants, _LAYERS} if record.deep_layers else set(record.constants)
    nested = cast("dict[str, Any]", overrides(header, name, {_NESTED}).get(_NESTED) or {})
    stated = {key: value for key, value in nested.items() if key in allowed}
    stated |= overrides(header, record.kind, allowed)
    if record.learns_places:
        stated["num_position_embeddings"] = shape_of(header, prefix + _PLACES, _PART)[0]
    if record.deep_layers is None:
        return stated
    layers = stated.get(_LAYERS) or record.deep_layers.get(blocks)
    if layers is None:
        what = f"no {_LAYERS!r} in its metadata for {blocks} blocks"
        raise MissingWeightsError(header.path, _PART, [what])
    return {**stated, _LAYERS: list(layers)}
