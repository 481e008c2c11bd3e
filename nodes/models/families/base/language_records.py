"""The records of language models that encode texts: one for each architecture, in all its sizes.

A record is all that a language model needs to be read, run, saved and changed by LoRAs; see
`language_models.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nodes.models.families.base.language_vision import (
    QWEN2_5_VISION,
    QWEN3_5_VISION,
    QWEN3_VISION,
    VisionModel,
)
from nodes.models.families.base.spec import EncoderName

_QUERY_NORM = "layers.0.self_attn.q_norm.weight"
_SECOND_NORM = "layers.0.post_feedforward_layernorm.weight"
_FIRST_NORM = "layers.0.post_attention_layernorm.weight"
_QUERY_BIAS = "layers.0.self_attn.q_proj.bias"
_LINEAR_QUERY = "layers.0.linear_attn.in_proj_qkv.weight"
_ROUTER = "layers.0.mlp.gate.weight"
_ENDS = "<|im_end|>", "<|endoftext|>"


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """One architecture of language model whose hidden states families read."""

    kind: str
    """The name of its class of network; see `NetworkSpec`."""
    title: str
    """Its name for people."""
    model: str
    """The class in transformers, as `module:attribute`."""
    config: str
    """The class of its configuration, likewise."""
    sizes: Mapping[int, EncoderName]
    """The names of its text encoders, by the width of their states."""
    mark: str
    """A key below the root that tells it from the others."""
    tokenizer: str
    """The function that makes its tokenizer; see `TextRules`."""
    vocabulary: int
    """The rows of the token embedding of a model with that tokenizer."""
    pad: tuple[str, int]
    """The token that fills up a text, and its number in that tokenizer."""
    constants: Mapping[str, Any]
    """The entries of the configuration that shapes do not tell, of all published sizes."""
    ends_early: bool = False
    """True if files may end with a layer that families read, without the norm after the last."""
    lacks: tuple[str, ...] = ()
    """Keys below the root that others have, besides the mark."""
    head: int = 128
    """The width of an attention head, where no norm of queries tells it."""
    start: int | None = None
    """The number of the token that texts start with; None if there is none."""
    tokenizer_files: Mapping[str, str] = field(default_factory=dict[str, str])
    """The files of a tokenizer that does not ship here, by the tensors with the same bytes.

    A file of weights has such a tensor, or such a file beside it; the first is taken.
    """
    scales_embedding: bool = False
    """True if the embeddings are multiplied by the root of their width."""
    coordinates: int = 1
    """The numbers of a position: 3 in models that see pictures, equal ones for text."""
    eyes: str = ""
    """A key of its vision encoder that tells it from a model whose weights have the same names."""
    architecture: str = ""
    """Its name in files of llama.cpp, which have no vision encoder."""
    vision: VisionModel | None = None
    """The vision encoder that files may have beside it."""
    ends: tuple[str, ...] = ()
    """The tokens that end a text that it writes; empty if it writes none here."""
    system: str = ""
    """The message that begins its chats, where a user gives none; empty if there is none."""
    thinks: bool = False
    """True if it writes down its thoughts before an answer, unless an empty thought is given."""
    opens_thoughts: bool = False
    """True if its chat begins the thoughts that it writes down."""
    gated: bool = False
    """True if each head's queries have a gate of their width beside them."""
    serves_all: bool = False
    """True if it writes prompts for any model, so that any type of a loader opens it."""
    uncalled: tuple[str, ...] = ()
    """Patterns of its modules that are not called: others read their weights."""
    picture: tuple[str, int] = ("<|image_pad|>", 151_655)
    """The token in whose place a picture's tokens are read, and its number in that tokenizer."""


QWEN3 = LanguageModel(
    kind="qwen3",
    title="Qwen3",
    model="transformers.models.qwen3.modeling_qwen3:Qwen3Model",
    config="transformers.models.qwen3.configuration_qwen3:Qwen3Config",
    sizes={1024: "qwen3_06b", 2560: "qwen3_4b", 4096: "qwen3_8b"},
    mark=_QUERY_NORM,
    lacks=(_SECOND_NORM,),
    tokenizer="nodes.models.text.qwen_tokenizer:qwen3_tokenizer",
    vocabulary=151_936,
    pad=("<|endoftext|>", 151_643),
    constants={
        "rope_theta": 1_000_000.0,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "max_position_embeddings": 40_960,
    },
    architecture="qwen3",
    thinks=True,
    ends=_ENDS,
)
"""Yang et al. 2025, arXiv:2505.09388; the constants are those of `config.json` of all sizes."""
QWEN2_5_VL = LanguageModel(
    kind="qwen2_5_vl",
    title="Qwen2.5-VL",
    model="transformers.models.qwen2_5_vl.modeling_qwen2_5_vl:Qwen2_5_VLTextModel",
    config="transformers.models.qwen2_5_vl.configuration_qwen2_5_vl:Qwen2_5_VLTextConfig",
    sizes={3584: "qwen2_5_vl_7b"},
    mark=_QUERY_BIAS,
    tokenizer="nodes.models.text.qwen_tokenizer:qwen2_tokenizer",
    vocabulary=152_064,
    pad=("<|endoftext|>", 151_643),
    constants={
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1_000_000.0,
            "mrope_section": [16, 24, 24],
        },
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "max_position_embeddings": 128_000,
    },
    coordinates=3,
    vision=QWEN2_5_VISION,
    system="You are a helpful assistant.",
    ends=_ENDS,
)
"""The language part of Qwen2.5-VL (Bai et al. 2025, arXiv:2502.13923)."""
QWEN3_VL = LanguageModel(
    kind="qwen3_vl",
    title="Qwen3-VL",
    model="transformers.models.qwen3_vl.modeling_qwen3_vl:Qwen3VLTextModel",
    config="transformers.models.qwen3_vl.configuration_qwen3_vl:Qwen3VLTextConfig",
    sizes={2560: "qwen3_vl_4b", 4096: "qwen3_vl_8b"},
    mark=_QUERY_NORM,
    lacks=(_SECOND_NORM,),
    tokenizer="nodes.models.text.qwen_tokenizer:qwen3_tokenizer",
    vocabulary=151_936,
    pad=("<|endoftext|>", 151_643),
    constants={
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 5_000_000.0,
            "mrope_section": [24, 20, 20],
        },
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "max_position_embeddings": 262_144,
    },
    coordinates=3,
    vision=QWEN3_VISION,
    eyes="deepstack_merger_list.0.norm.weight",
    architecture="qwen3vl",
    ends=_ENDS,
)
"""The language part of Qwen3-VL (Bai et al. 2025, arXiv:2511.21631).

Its weights have the names and the shapes of Qwen3's, but its positions turn more slowly.
"""
GEMMA2 = LanguageModel(
    kind="gemma2",
    title="Gemma 2",
    model="transformers.models.gemma2.modeling_gemma2:Gemma2Model",
    config="transformers.models.gemma2.configuration_gemma2:Gemma2Config",
    sizes={2304: "gemma2_2b"},
    mark=_SECOND_NORM,
    lacks=(_QUERY_NORM,),  # Gemma 3 has it
    tokenizer="nodes.models.text.gemma_tokenizer:gemma_tokenizer",
    vocabulary=256_000,
    pad=("<pad>", 0),
    head=256,
    start=2,
    tokenizer_files={"spiece_model": "tokenizer.model", "tokenizer_json": "tokenizer.json"},
    constants={
        "rope_theta": 10_000.0,
        "rms_norm_eps": 1e-6,
        "hidden_activation": "gelu_pytorch_tanh",
        "max_position_embeddings": 8_192,
        "query_pre_attn_scalar": 256,
        "attn_logit_softcapping": 50.0,
        "sliding_window": 4_096,
    },
    scales_embedding=True,
)
"""Gemma Team 2024, arXiv:2408.00118; the constants are those of `config.json` of the size 2B."""
MISTRAL3 = LanguageModel(
    kind="mistral3",
    title="Mistral Small 3",
    model="transformers.models.mistral.modeling_mistral:MistralModel",
    config="transformers.models.mistral.configuration_mistral:MistralConfig",
    sizes={5120: "mistral3_24b"},
    mark=_FIRST_NORM,
    lacks=(_QUERY_NORM, _QUERY_BIAS, _SECOND_NORM, _LINEAR_QUERY),
    ends_early=True,
    tokenizer="nodes.models.text.tekken_tokenizer:tekken_tokenizer",
    vocabulary=131_072,
    pad=("<pad>", 11),
    start=1,
    tokenizer_files={"tekken_model": "tekken.json", "tokenizer_json": "tokenizer.json"},
    constants={
        "rope_theta": 1_000_000_000.0,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "max_position_embeddings": 131_072,
        "sliding_window": None,
    },
)
"""The language part of Mistral Small 3.1 and 3.2, by `config.json`, without its vision encoder."""
QWEN3_5 = LanguageModel(
    kind="qwen3_5",
    title="Qwen3.5",
    model="transformers.models.qwen3_5.modeling_qwen3_5:Qwen3_5TextModel",
    config="transformers.models.qwen3_5.configuration_qwen3_5:Qwen3_5TextConfig",
    sizes={
        1024: "qwen35_08b",
        2048: "qwen35_2b",
        2560: "qwen35_4b",
        4096: "qwen35_9b",
        5120: "qwen35_27b",
    },
    mark=_LINEAR_QUERY,
    lacks=(_ROUTER,),  # the sizes with experts have it
    tokenizer="nodes.models.text.qwen_tokenizer:qwen3_5_tokenizer",
    vocabulary=248_320,
    pad=("<|endoftext|>", 248_044),
    picture=("<|image_pad|>", 248_056),
    constants={
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000_000.0,
            "partial_rotary_factor": 0.25,
            "mrope_section": [11, 11, 10],
        },
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "max_position_embeddings": 262_144,
    },
    coordinates=3,
    vision=QWEN3_5_VISION,
    ends=_ENDS,
    thinks=True,
    opens_thoughts=True,
    gated=True,
    serves_all=True,
    uncalled=("layers.*.linear_attn.conv1d",),
)
"""Three of four layers have linear attention (Yang et al. 2024, arXiv:2412.06464), the fourth
softmax attention with a gate; the constants are those of `config.json` of all dense sizes."""
LANGUAGE_MODELS = (QWEN3, QWEN2_5_VL, QWEN3_VL, GEMMA2, MISTRAL3, QWEN3_5)
"""Every record; of those whose mark a file has, the first one is the likeliest."""
