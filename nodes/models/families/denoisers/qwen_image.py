"""Qwen-Image: blocks with a stream of their own for the text, and one for the picture.

Published files have the names of diffusers, whose `QwenImagePipeline` says how texts are read. The
edit models are the same networks; their prompts are written by nodes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from nodes.models.families.base.language_models import language_table, own_language_key
from nodes.models.families.base.ldm_keys import own_key
from nodes.models.families.base.licences import APACHE, Release
from nodes.models.families.base.shapes import count, first_in, overrides, shape_of
from nodes.models.families.base.spec import (
    Architecture,
    ComfyNames,
    EncoderName,
    Family,
    FlowRules,
    HiddenStatePolicy,
    Layout,
    LoraMark,
    ModelSpec,
    NetworkSpec,
    Part,
    TextEncoderSet,
)
from nodes.models.families.base.text_encoders import read_text
from nodes.models.families.base.transformer_keys import JOINT_LORA
from nodes.models.families.base.vaes.vae import read_vae
from nodes.models.families.base.vaes.wan_vae import LATENT
from nodes.models.families.base.vaes.wan_vae import PART as VAE
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

_NAME = "qwen_image"
"""The name of the family, and of its kind of network."""
_PREFIXES = ("model.diffusion_model.", "")
_MARK = "transformer_blocks.0.img_mod.1.weight"
_AT_ZERO = "__index_timestep_zero__"
"""A tensor without meaning in files of the edit model 2511, whose references are at time zero."""
_LAYERED = "time_text_embed.addition_t_embedding.weight"
"""A weight of Qwen-Image-Layered alone, which is told if its pictures have alpha."""
_PART = "transformer"
_PATCH = 2
_TEXT: Mapping[EncoderName, str] = {"qwen2_5_vl_7b": "text_encoders.qwen25_7b.transformer."}
TEMPLATE = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture,"
    " quantity, text, spatial relationships of the objects and background:<|im_end|>\n"
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
_ENCODERS = TextEncoderSet(
    _NAME,
    {"qwen2_5_vl_7b": HiddenStatePolicy(template=TEMPLATE, dropped=34, reads_weights=False)},
    combine="single",
    loader_type=_NAME,
    files=(1,),
)
"""As `QwenImagePipeline` of diffusers has it; the tokens of the system's message are dropped."""


def qwen_image_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a `QwenImageTransformer2DModel`: the names are the same."""
    return {key: Source(prefix + key) for key in keys}


def qwen_image_config(header: Header, prefix: str) -> dict[str, Any]:
    """Return the configuration of a `QwenImageTransformer2DModel`.

    An eighth of each head's rotary positions is for the number of the picture, the rest for row
    and column.

    Raises:
        MissingWeightsError: a tensor that the configuration is read from is missing.
    """
    width, channels = shape_of(header, f"{prefix}img_in.weight", _PART)
    (head,) = shape_of(header, f"{prefix}transformer_blocks.0.attn.norm_q.weight", _PART)
    side = head * 7 // 32 * 2
    out = shape_of(header, f"{prefix}proj_out.weight", _PART)[0]
    return {
        "in_channels": channels,
        "out_channels": out // _PATCH**2,
        "num_layers": count(header, prefix + "transformer_blocks.{}.img_mod.1.weight"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shape_of(header, f"{prefix}txt_in.weight", _PART)[1],
        "axes_dims_rope": [head - 2 * side, side, side],
        **({"zero_cond_t": True} if prefix + _AT_ZERO in header else {}),
        **(
            {"use_additional_t_cond": True, "use_layer3d_rope": True}
            if prefix + _LAYERED in header
            else {}
        ),
        **overrides(header, _NAME, {"axes_dims_rope", "zero_cond_t"}),
    }


def recognises(header: Header) -> bool:
    """Return True for blocks that modulate the picture's stream by itself."""
    return first_in(header, _PREFIXES, _MARK) is not None


def read(header: Header) -> Architecture:
    """Return the architecture, from the shapes; most releases do not differ in them.

    The latents of Qwen-Image-Layered have layers, and its VAE's pictures have alpha.
    """
    prefix = first_in(header, _PREFIXES, _MARK) or ""
    config = qwen_image_config(header, prefix)
    network = NetworkSpec(_NAME, "model", config, prefix, qwen_image_table)
    latent = replace(LATENT, layered=prefix + _LAYERED in header)
    model = ModelSpec(_NAME, network, latent, FlowRules(mu=1.15, multiplier=1.0))
    return Architecture(model, read_text(header, _ENCODERS, _TEXT), read_vae(header, LATENT))


def _comfy_names(_spec: ModelSpec) -> ComfyNames:
    return ComfyNames("QwenImage", "QwenImage", image_model=_NAME)


_LORAS = (
    LoraMark(r"(?<!single_)transformer_blocks.\d+.(img|txt)_m(lp|od)", _NAME),
    LoraMark(JOINT_LORA, _NAME, range(1, 2**31)),  # FLUX.1's and SD3's have such names, too
)
_LAYOUT = Layout(
    _MARK,
    {
        "transformer": Part(_NAME, _PREFIXES[0], qwen_image_table, own_key),
        "text_encoder": Part(
            "qwen2_5_vl_7b", _TEXT["qwen2_5_vl_7b"], language_table, own_language_key
        ),
        "vae": VAE,
    },
)
QWEN_IMAGE = Family(
    _NAME,
    "Qwen-Image",
    recognises,
    read,
    (_LAYOUT,),
    (_ENCODERS, replace(_ENCODERS, loader_type="stable_diffusion")),
    _LORAS,
    networks=("nodes.models.networks.denoisers.qwen_image:NETWORK",),
    comfy=_comfy_names,
    releases=(Release("Qwen-Image, Edit, Layered", APACHE),),
)
