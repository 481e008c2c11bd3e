"""Published models at full size, as files that have a header and no bytes on the disk.

Configurations are those of the published checkpoints; names and shapes in a file follow from the
network's own and its family's key table, read backwards.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from nodes.models.families.base.encoder_keys import clip_table, open_clip_table, t5_table
from nodes.models.families.base.language_models import HEAD, head_table, language_table, plain_table
from nodes.models.families.base.language_vision import VISION
from nodes.models.families.base.ldm_keys import UNET_PREFIX, VAE_PREFIX, unet_table, vae_table
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.families.base.vaes.flux2_vae import flux2_vae_table
from nodes.models.families.base.vaes.qwen21_vae import qwen21_vae_table
from nodes.models.families.base.vaes.wan_vae import wan_vae_table
from nodes.models.families.denoisers.anima import anima_table
from nodes.models.families.denoisers.chroma import chroma_table
from nodes.models.families.denoisers.flux import flux_table
from nodes.models.families.denoisers.flux2 import flux2_table
from nodes.models.families.denoisers.flux3 import flux3_table
from nodes.models.families.denoisers.krea2 import krea2_table
from nodes.models.families.denoisers.longcat_image import longcat_image_table
from nodes.models.families.denoisers.lumina2 import lumina2_table
from nodes.models.families.denoisers.qwen_image import qwen_image_table
from nodes.models.families.denoisers.qwen_image21 import qwen_image21_table
from nodes.models.families.denoisers.sd3 import mmdit_table
from nodes.models.families.denoisers.z_image import z_image_table
from nodes.models.networks.factory import skeleton
from nodes.models.weights.key_table import Source, identity_table

_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1}
_CROSS = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
_DOWN, _UP = "DownBlock2D", "UpBlock2D"

_SD15: dict[str, Any] = {
    "in_channels": 4, "out_channels": 4, "layers_per_block": 2,
    "block_out_channels": [320, 640, 1280, 1280],
    "down_block_types": [_CROSS[0]] * 3 + [_DOWN], "up_block_types": [_UP] + [_CROSS[1]] * 3,
    "cross_attention_dim": 768, "attention_head_dim": 8, "use_linear_projection": False,
}  # fmt: skip
_SD21 = {
    **_SD15,
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
    "attention_head_dim": [5, 10, 20, 20],
}
_LOTUS = {
    **_SD21,
    "class_embed_type": "projection",
    "projection_class_embeddings_input_dim": 4,
}
_SIZES = {"addition_embed_type": "text_time", "addition_time_embed_dim": 256}
_SDXL = {
    **_SD21,
    **_SIZES,
    "block_out_channels": [320, 640, 1280],
    "down_block_types": [_DOWN, _CROSS[0], _CROSS[0]],
    "up_block_types": [_CROSS[1], _CROSS[1], _UP],
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "transformer_layers_per_block": [1, 2, 10],
    "projection_class_embeddings_input_dim": 2816,
}
_REFINER = {
    **_SDXL,
    "block_out_channels": [384, 768, 1536, 1536],
    "down_block_types": [_DOWN, _CROSS[0], _CROSS[0], _DOWN],
    "up_block_types": [_UP, _CROSS[1], _CROSS[1], _UP],
    "cross_attention_dim": 1280,
    "attention_head_dim": [6, 12, 24, 24],
    "transformer_layers_per_block": 4,
    "projection_class_embeddings_input_dim": 2560,
}
_SD3: dict[str, Any] = {
    "sample_size": 128, "patch_size": 2, "in_channels": 16, "out_channels": 16, "num_layers": 24,
    "attention_head_dim": 64, "num_attention_heads": 24, "joint_attention_dim": 4096,
    "caption_projection_dim": 1536, "pooled_projection_dim": 2048, "pos_embed_max_size": 192,
}  # fmt: skip
_SD35 = {
    **_SD3,
    "num_layers": 38,
    "num_attention_heads": 38,
    "caption_projection_dim": 2432,
    "qk_norm": "rms_norm",
}
_FLUX: dict[str, Any] = {
    "in_channels": 64, "out_channels": 64, "num_layers": 19, "num_single_layers": 38,
    "attention_head_dim": 128, "num_attention_heads": 24, "joint_attention_dim": 4096,
    "pooled_projection_dim": 768, "guidance_embeds": True, "axes_dims_rope": [16, 56, 56],
}  # fmt: skip
_CHROMA: dict[str, Any] = {
    key: _FLUX[key] for key in _FLUX if key not in ("pooled_projection_dim", "guidance_embeds")
}
_SCHNELL = {**_FLUX, "guidance_embeds": False}
_VAE4: dict[str, Any] = {
    "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "latent_channels": 4,
    "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4,
    "use_quant_conv": True, "use_post_quant_conv": True,
}  # fmt: skip
_VAE16 = {
    **_VAE4,
    "latent_channels": 16,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}
_CLIP_L: dict[str, Any] = {
    "vocab_size": 49408, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
    "num_attention_heads": 12, "max_position_embeddings": 77,
}  # fmt: skip
_CLIP_H = {
    **_CLIP_L,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "projection_dim": 1024,
}
_CLIP_G = {
    **_CLIP_H,
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
}
_T5: dict[str, Any] = {
    "vocab_size": 32128, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24,
    "num_heads": 64, "relative_attention_num_buckets": 32, "feed_forward_proj": "gated-gelu",
}  # fmt: skip


_QWEN3_4B: dict[str, Any] = {
    "vocab_size": 151936, "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
}  # fmt: skip
_QWEN3_8B: dict[str, Any] = {**_QWEN3_4B, "hidden_size": 4096, "intermediate_size": 12288}
_FLUX2: dict[str, Any] = {"axes_dims_rope": [32, 32, 32, 32]}
_KLEIN_4B: dict[str, Any] = {
    **_FLUX2, "num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24,
    "joint_attention_dim": 7680, "guidance_embeds": False,
}  # fmt: skip
_KLEIN_9B: dict[str, Any] = {
    **_FLUX2, "num_layers": 8, "num_single_layers": 24, "num_attention_heads": 32,
    "joint_attention_dim": 12288, "guidance_embeds": False,
}  # fmt: skip
_Z_IMAGE: dict[str, Any] = {
    "in_channels": 16, "dim": 3840, "n_layers": 30, "n_refiner_layers": 2, "n_heads": 30,
    "n_kv_heads": 30, "cap_feat_dim": 2560, "axes_dims": [32, 48, 48],
}  # fmt: skip
_QWEN2_5_VL: dict[str, Any] = {
    "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
    "num_attention_heads": 28, "num_key_value_heads": 4,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
}  # fmt: skip
_QWEN_IMAGE: dict[str, Any] = {
    "in_channels": 64, "out_channels": 16, "num_layers": 60, "attention_head_dim": 128,
    "num_attention_heads": 24, "joint_attention_dim": 3584, "axes_dims_rope": [16, 56, 56],
}  # fmt: skip
_QWEN_IMAGE_LAYERED = {**_QWEN_IMAGE, "use_additional_t_cond": True, "use_layer3d_rope": True}
_BLOCKWISE: dict[str, Any] = {"blocks": 60, "channels": 16, "width": 3072}
_MISTRAL3: dict[str, Any] = {
    "vocab_size": 131072, "hidden_size": 5120, "intermediate_size": 32768, "num_hidden_layers": 40,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
}  # fmt: skip
_QWEN3_06B = {
    **_QWEN3_4B,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
}
_ANIMA: dict[str, Any] = {
    "in_channels": 16, "out_channels": 16, "num_attention_heads": 16, "attention_head_dim": 128,
    "num_layers": 28, "mlp_ratio": 4.0, "text_embed_dim": 1024, "adaln_lora_dim": 256,
    "max_size": [1, 4096, 4096], "rope_scale": [1.0, 4.0, 4.0], "extra_pos_embed_type": None,
    "conditioner": {
        "source_dim": 1024, "target_dim": 1024, "model_dim": 1024, "num_layers": 6,
        "num_attention_heads": 16, "mlp_ratio": 4.0, "target_vocab_size": 32128,
        "min_sequence_length": 512,
    },
}  # fmt: skip
_QWEN3_VL: dict[str, Any] = {
    "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
    "rope_parameters": {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20]},
}  # fmt: skip
_QWEN_IMAGE21: dict[str, Any] = {
    "in_channels": 64, "out_channels": 64, "num_layers": 32, "attention_head_dim": 128,
    "num_attention_heads": 32, "context_in_dim": 4096, "mlp_ratio": 3,
    "axes_dims_rope": [16, 56, 56],
}  # fmt: skip
_QWEN21_VAE: dict[str, Any] = {
    "base_dim": 96, "decoder_base_dim": 144, "z_dim": 64, "dim_mult": [1, 2, 4, 8, 8],
    "num_res_blocks": 2, "temperal_downsample": [False, True, True, True],
    "in_channels": 4, "out_channels": 4,
}  # fmt: skip
_QWEN2_5_VISION: dict[str, Any] = {
    "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
    "out_hidden_size": 3584,
}  # fmt: skip
_QWEN3_VISION: dict[str, Any] = {
    "depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "out_hidden_size": 4096,
    "num_position_embeddings": 2304, "deepstack_visual_indexes": [8, 16, 24],
}  # fmt: skip
_QWEN3_5_9B: dict[str, Any] = {
    "vocab_size": 248320, "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 32,
    "num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 256,
    "linear_num_key_heads": 16, "linear_num_value_heads": 32,
}  # fmt: skip
_QWEN3_5_VISION: dict[str, Any] = {
    key: value for key, value in _QWEN3_VISION.items() if not key.startswith("deepstack")
}
_GEMMA2_2B: dict[str, Any] = {
    "vocab_size": 256000, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
}  # fmt: skip
_LUMINA2: dict[str, Any] = {
    "in_channels": 16, "hidden_size": 2304, "num_layers": 26, "num_refiner_layers": 2,
    "num_attention_heads": 24, "num_kv_heads": 8, "cap_feat_dim": 2304,
    "axes_dim_rope": [32, 32, 32],
}  # fmt: skip
_KREA2: dict[str, Any] = {"axes_dims_rope": [32, 48, 48]}
_LONGCAT_IMAGE: dict[str, Any] = {
    "in_channels": 64, "num_layers": 10, "num_single_layers": 20, "attention_head_dim": 128,
    "num_attention_heads": 24, "joint_attention_dim": 3584, "axes_dims_rope": [16, 56, 56],
}  # fmt: skip
_WAN_VAE: dict[str, Any] = {
    "base_dim": 96, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2,
    "temperal_downsample": [False, True, True], "input_channels": 3,
}  # fmt: skip
_QWEN3_VL_4B = {**_QWEN3_VL, "hidden_size": 2560, "intermediate_size": 9728}
_FLUX2_VAE: dict[str, Any] = {"block_out_channels": [128, 256, 512, 512], "latent_channels": 32}
_FLUX3: dict[str, Any] = {
    "in_channels": 128, "cond_in_channels": 128, "num_layers": 5, "num_single_layers": 28,
    "attention_head_dim": 128, "num_attention_heads": 24, "joint_attention_dim": 20480,
    "axes_dims_rope": [32, 32, 32, 32], "flow_map": True,
}  # fmt: skip


_Table: TypeAlias = Callable[[Iterable[str], str], dict[str, Source]]


@dataclass(frozen=True, slots=True)
class Part:
    """One network of a file."""

    kind: str
    config: Mapping[str, Any]
    prefix: str
    table: _Table


def _unet(config: Mapping[str, Any]) -> Part:
    return Part("unet", config, UNET_PREFIX, unet_table)


def _clip(config: Mapping[str, Any], prefix: str) -> Part:
    return Part("clip", config, prefix, clip_table)


def _open_clip(config: Mapping[str, Any], prefix: str) -> Part:
    return Part("clip", config, prefix, open_clip_table)


def _flux(config: Mapping[str, Any], prefix: str = "") -> Part:
    return Part("flux", config, prefix, flux_table)


def _flux2(config: Mapping[str, Any], prefix: str = "") -> Part:
    return Part("flux2", config, prefix, flux2_table)


def _z_image(prefix: str) -> Part:
    return Part("z_image", _Z_IMAGE, prefix, z_image_table)


def _qwen3(prefix: str, config: Mapping[str, Any] = _QWEN3_4B) -> Part:
    return Part("qwen3", config, prefix, language_table)


def _qwen_image(prefix: str) -> Part:
    return Part("qwen_image", _QWEN_IMAGE, prefix, qwen_image_table)


def _qwen2_5_vl(prefix: str) -> Part:
    return Part("qwen2_5_vl", _QWEN2_5_VL, prefix, language_table)


def _vision(kind: str, config: Mapping[str, Any]) -> Part:
    """Return the vision encoder of a language model."""
    return Part(kind, config, VISION, plain_table)


def _anima(prefix: str) -> Part:
    return Part("anima", _ANIMA, prefix, anima_table)


def _qwen_image21(prefix: str) -> Part:
    return Part("qwen_image21", _QWEN_IMAGE21, prefix, qwen_image21_table)


def _qwen3_vl(prefix: str, config: Mapping[str, Any] = _QWEN3_VL) -> Part:
    return Part("qwen3_vl", config, prefix, language_table)


def _flux3(prefix: str) -> Part:
    return Part("flux3", _FLUX3, prefix, flux3_table)


def _lumina2(prefix: str) -> Part:
    return Part("lumina2", _LUMINA2, prefix, lumina2_table)


def _longcat_image(prefix: str) -> Part:
    return Part("longcat_image", _LONGCAT_IMAGE, prefix, longcat_image_table)


def _gemma2(prefix: str) -> Part:
    return Part("gemma2", _GEMMA2_2B, prefix, language_table)


def _krea2(prefix: str) -> Part:
    return Part("krea2", _KREA2, prefix, krea2_table)


def _mmdit(config: Mapping[str, Any]) -> Part:
    return Part("mmdit", config, UNET_PREFIX, mmdit_table)


_LATENT4, _LATENT16 = (Part("vae", each, VAE_PREFIX, vae_table) for each in (_VAE4, _VAE16))
_TEXT = "text_encoders.{}.transformer."
_SD3_TEXTS = (
    _clip({**_CLIP_L, "projection_dim": 768}, _TEXT.format("clip_l")),
    _clip(_CLIP_G, _TEXT.format("clip_g")),
    Part("t5", _T5, _TEXT.format("t5xxl"), t5_table),
)
_FLUX_PARTS = (
    Part("vae", _VAE16, VAE_PREFIX, vae_table),
    _clip(_CLIP_L, _TEXT.format("clip_l")),
    Part("t5", _T5, _TEXT.format("t5xxl"), t5_table),
)
_SD2_TEXT = _open_clip(_CLIP_H, "cond_stage_model.model.")

MODELS: Mapping[str, tuple[Part, ...]] = {
    "sd15": (_unet(_SD15), _LATENT4, _clip(_CLIP_L, "cond_stage_model.transformer.")),
    "sd21": (_unet(_SD21), _LATENT4, _SD2_TEXT),
    "sdxl": (
        _unet(_SDXL),
        _LATENT4,
        _clip(_CLIP_L, "conditioner.embedders.0.transformer."),
        _open_clip(_CLIP_G, "conditioner.embedders.1.model."),
    ),
    "refiner": (_unet(_REFINER), _LATENT4, _open_clip(_CLIP_G, "conditioner.embedders.0.model.")),
    "sd3_medium": (_mmdit(_SD3), _LATENT16, *_SD3_TEXTS),
    "sd35_large": (_mmdit(_SD35), _LATENT16, *_SD3_TEXTS),
    "flux_dev": (_flux(_FLUX),),
    "flux_schnell": (_flux(_SCHNELL),),
    "flux_dev_whole": (_flux(_FLUX, UNET_PREFIX), *_FLUX_PARTS),
    "flux_schnell_whole": (_flux(_SCHNELL, UNET_PREFIX), *_FLUX_PARTS),
    "flux2_klein_4b": (_flux2(_KLEIN_4B),),
    "flux2_klein_9b": (_flux2(_KLEIN_9B),),
    "flux2_dev": (_flux2(_FLUX2),),
    "mistral3_24b": (Part("mistral3", _MISTRAL3, "", language_table),),
    "qwen3_8b": (_qwen3("", _QWEN3_8B),),
    "z_image": (_z_image(""),),
    "z_image_whole": (_z_image(UNET_PREFIX), _LATENT16, _qwen3(_TEXT.format("qwen3_4b"))),
    "qwen3_4b": (_qwen3(""),),
    "qwen_image": (_qwen_image(""),),
    "qwen_image_whole": (
        _qwen_image(UNET_PREFIX),
        Part("wan_vae", _WAN_VAE, VAE_PREFIX, wan_vae_table),
        _qwen2_5_vl(_TEXT.format("qwen25_7b")),
    ),
    "qwen_image_layered": (Part("qwen_image", _QWEN_IMAGE_LAYERED, "", qwen_image_table),),
    "qwen_image_blockwise": (
        Part("qwen_image_blockwise_controlnet", _BLOCKWISE, "", identity_table),
    ),
    "qwen2_5_vl_7b": (_qwen2_5_vl(""),),
    "qwen2_5_vl_vision": (_vision("qwen2_5_vl_vision", _QWEN2_5_VISION),),
    "qwen3_vl_vision": (_vision("qwen3_vl_vision", _QWEN3_VISION),),
    "anima": (_anima("net."),),
    "anima_whole": (
        _anima(UNET_PREFIX),
        Part("wan_vae", _WAN_VAE, VAE_PREFIX, wan_vae_table),
        _qwen3(_TEXT.format("qwen3_06b"), _QWEN3_06B),
    ),
    "qwen3_06b": (_qwen3("", _QWEN3_06B),),
    "qwen_image21": (_qwen_image21(""),),
    "qwen_image21_whole": (
        _qwen_image21(UNET_PREFIX),
        Part("qwen21_vae", _QWEN21_VAE, VAE_PREFIX, qwen21_vae_table),
        _qwen3_vl(_TEXT.format("qwen3vl_8b")),
    ),
    "qwen3_vl_8b": (_qwen3_vl(""),),
    "qwen3_5_9b": (
        Part("qwen3_5", _QWEN3_5_9B, "", language_table),
        Part("word_head", {"words": 248320, "width": 4096}, HEAD, head_table),
    ),
    "qwen3_5_vision": (_vision("qwen3_5_vision", _QWEN3_5_VISION),),
    "flux3": (_flux3(""),),
    "flux3_whole": (
        _flux3(UNET_PREFIX),
        Part("flux2_vae", _FLUX2_VAE, VAE_PREFIX, flux2_vae_table),
        _qwen3_vl(_TEXT.format("qwen3vl_4b"), _QWEN3_VL_4B),
    ),
    "qwen3_vl_4b": (_qwen3_vl("", _QWEN3_VL_4B),),
    "lumina2": (_lumina2(""),),
    "lumina2_whole": (_lumina2(UNET_PREFIX), _LATENT16, _gemma2(_TEXT.format("gemma2_2b"))),
    "gemma2_2b": (_gemma2(""),),
    "longcat_image": (_longcat_image(""),),
    "krea2": (_krea2(""),),
    "krea2_whole": (
        _krea2(UNET_PREFIX),
        Part("wan_vae", _WAN_VAE, VAE_PREFIX, wan_vae_table),
        _qwen3_vl(_TEXT.format("qwen3vl_4b"), _QWEN3_VL_4B),
    ),
    "lotus": (Part("lotus", _LOTUS, UNET_PREFIX, unet_table),),
    "chroma": (Part("chroma", _CHROMA, "", chroma_table),),
    "clip_l": (_clip(_CLIP_L, ""),),
    "t5xxl": (Part("t5", _T5, "", t5_table),),
    "ae": (Part("vae", _VAE16, "", vae_table),),
}
"""The networks of each file. SD-Turbo's are those of `sd21`; `whole` ones hold all of FLUX.1."""


def write_sparse(path: Path, shapes: Mapping[str, tuple[str, tuple[int, ...]]]) -> Path:
    """Write a safetensors file whose tensors are a hole in it: zeros that take no room.

    Args:
        path: the file; written only if it is not there.
        shapes: the dtype, by safetensors' name, and the shape of each tensor.
    """
    if path.exists():
        return path
    entries: dict[str, object] = {}
    end = 0
    for key, (dtype, shape) in shapes.items():
        start, end = end, end + math.prod(shape) * _BYTES[dtype]
        entries[key] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return path


def write_model(path: Path, name: str, dtype: str = "F16", parts: int | None = None) -> Path:
    """Write one of `MODELS`.

    Args:
        path: the file.
        name: of the model.
        dtype: of its tensors; of `F8_E4M3` are the matrices alone, the others are F16 then.
        parts: the number of networks in the file, the one that denoises first; None: all.
            Mapping a file needs as much address space as a machine may refuse to give.
    """
    named = (pair for part in MODELS[name][:parts] for pair in _shapes(part).items())
    return write_sparse(path, {key: (_stored(dtype, shape), shape) for key, shape in named})


def write_lora(path: Path, name: str, rank: int = 16) -> Path:
    """Write a LoRA for every matrix in the blocks of the first network of one of `MODELS`."""
    part = MODELS[name][0]
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
    for key, shape in _shapes(part).items():
        if len(shape) == 2 and key.endswith(".weight") and "blocks." in key:
            inner = key.removeprefix(part.prefix).removesuffix(".weight").replace(".", "_")
            shapes[f"lora_unet_{inner}.lora_down.weight"] = "BF16", (rank, shape[1])
            shapes[f"lora_unet_{inner}.lora_up.weight"] = "BF16", (shape[0], rank)
            shapes[f"lora_unet_{inner}.alpha"] = "F32", ()
    return write_sparse(path, shapes)


def _stored(dtype: str, shape: tuple[int, ...]) -> str:
    return "F16" if _BYTES[dtype] == 1 and len(shape) != 2 else dtype


def _shapes(part: Part) -> dict[str, tuple[int, ...]]:
    return _shapes_of(part.kind, json.dumps(part.config), part.prefix, part.table)


@cache
def _shapes_of(kind: str, config: str, prefix: str, table: _Table) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor in the file."""
    state = skeleton(NetworkSpec(kind, kind, json.loads(config), prefix, table)).state_dict()
    rows: defaultdict[str, int] = defaultdict(int)
    rest: dict[str, tuple[int, ...]] = {}
    for key, source in table(state, prefix).items():
        first, *others = _in_file(source, tuple(state[key].shape))
        rows[source.key] += first
        rest[source.key] = tuple(others)
    return {key: (rows[key], *rest[key]) for key in rows}


def _in_file(source: Source, shape: tuple[int, ...]) -> tuple[int, ...]:
    if source.op == "conv1x1":
        return (*shape, 1, 1)
    return shape[::-1] if source.op == "transpose" else shape
