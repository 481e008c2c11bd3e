"""Language models with random weights, and a vocabulary of bytes; see `random_weights`."""

import json
from typing import Any

from transformers.models.qwen2.tokenization_qwen2 import Qwen2Tokenizer

from nodes.models.text.clip_tokenizer import byte_symbols
from nodes.models.text.qwen_tokenizer import QWEN3_SPECIAL
from tests.tiny_models.random_weights import Draw, Tensors
from tests.tiny_models.sentencepiece_models import as_tensor, pieces, sentencepiece_model
from tests.tiny_models.tekken import SIZE, tekken_tensor

BYTES = {
    "tokenizer.vocab": json.dumps({s: n for n, s in enumerate(byte_symbols().values())}),
    "tokenizer.merges": "#version: 0.2",
}
"""The metadata of language models that know nothing but bytes; special tokens come after them."""
_WORDS = 288


def qwen3(
    draw: Draw,
    *,
    width: int = 32,
    head: int = 16,
    heads: tuple[int, int] = (2, 1),
    inner: int = 64,
    layers: int = 3,
    words: int = 151_936,
    prefix: str = "",
    biased: bool = False,
    normed: bool = True,
) -> None:
    """Qwen3; `heads` are those of queries, and of keys and values.

    With biases, and without norms, in the attention it is Qwen2.5-VL's; without either, Mistral's.
    """
    root = f"{prefix}model."
    draw.put(f"{root}embed_tokens.weight", (words, width), 1.0)
    for layer in range(layers):
        key = f"{root}layers.{layer}"
        for name, number in (("q", heads[0]), ("k", heads[1]), ("v", heads[1])):
            draw.linear(f"{key}.self_attn.{name}_proj", width, number * head, bias=biased)
        draw.linear(f"{key}.self_attn.o_proj", heads[0] * head, width, bias=False)
        if normed and not biased:
            draw.scale(f"{key}.self_attn.q_norm.weight", head)
            draw.scale(f"{key}.self_attn.k_norm.weight", head)
        draw.linear(f"{key}.mlp.gate_proj", width, inner, bias=False)
        draw.linear(f"{key}.mlp.up_proj", width, inner, bias=False)
        draw.linear(f"{key}.mlp.down_proj", inner, width, bias=False)
        draw.scale(f"{key}.input_layernorm.weight", width)
        draw.scale(f"{key}.post_attention_layernorm.weight", width)
    draw.scale(f"{root}norm.weight", width)


def qwen3_5(
    draw: Draw,
    *,
    width: int = 1024,
    head: int = 16,
    heads: tuple[int, int] = (4, 1),
    linear: tuple[int, int] = (4, 2),
    inner: int = 64,
    layers: int = 4,
    words: int = _WORDS,
    prefix: str = "",
) -> None:
    """Qwen3.5, whose every fourth layer has softmax attention, and the others a linear one.

    `heads` are those of queries, and of keys and values; `linear` those of values, and of queries
    and of keys, in the others. Its norms multiply by one more than their weights.
    """
    root = f"{prefix}model."
    draw.put(f"{root}embed_tokens.weight", (words, width), 1.0)
    for layer in range(layers):
        key = f"{root}layers.{layer}"
        if layer % 4 == 3:
            _gated_attention(draw, f"{key}.self_attn", width, head, heads)
        else:
            _linear_attention(draw, f"{key}.linear_attn", width, head, linear)
        draw.linear(f"{key}.mlp.gate_proj", width, inner, bias=False)
        draw.linear(f"{key}.mlp.up_proj", width, inner, bias=False)
        draw.linear(f"{key}.mlp.down_proj", inner, width, bias=False)
        draw.put(f"{key}.input_layernorm.weight", (width,), 0.1)
        draw.put(f"{key}.post_attention_layernorm.weight", (width,), 0.1)
    draw.put(f"{root}norm.weight", (width,), 0.1)


def _gated_attention(draw: Draw, key: str, width: int, head: int, heads: tuple[int, int]) -> None:
    for name, number in (("q", 2 * heads[0]), ("k", heads[1]), ("v", heads[1])):
        draw.linear(f"{key}.{name}_proj", width, number * head, bias=False)
    draw.linear(f"{key}.o_proj", heads[0] * head, width, bias=False)
    draw.put(f"{key}.q_norm.weight", (head,), 0.1)
    draw.put(f"{key}.k_norm.weight", (head,), 0.1)


def _linear_attention(draw: Draw, key: str, width: int, head: int, heads: tuple[int, int]) -> None:
    values, channels = heads[0] * head, (heads[0] + 2 * heads[1]) * head
    for name, outputs in (("qkv", channels), ("z", values), ("b", heads[0]), ("a", heads[0])):
        draw.linear(f"{key}.in_proj_{name}", width, outputs, bias=False)
    draw.weight(f"{key}.conv1d.weight", channels, 1, 4)
    draw.put(f"{key}.A_log", (heads[0],), 0.5, -1.0)
    draw.put(f"{key}.dt_bias", (heads[0],), 0.1, 1.0)
    draw.scale(f"{key}.norm.weight", head)
    draw.linear(f"{key}.out_proj", values, width, bias=False)


def small_qwen3_5(width: int = 1024, *, head: bool = False, sees: bool = False) -> Tensors:
    """Qwen3.5 of full width in a file of its own, for `SEEING`: 2 M parameters.

    Args:
        width: of the states; 1024 is that of the size 0.8B.
        head: add a head that predicts words, as files from 9B on have it.
        sees: add a vision encoder.
    """
    draw = Draw(35)
    qwen3_5(draw, width=width)
    if sees:
        qwen3_vision(draw, width=width, deep=False)
    if head:
        draw.put("lm_head.weight", (_WORDS, width), 0.05)
    return draw.tensors


def gemma2(
    draw: Draw,
    *,
    width: int = 2304,
    heads: tuple[int, int] = (2, 1),
    inner: int = 64,
    layers: int = 3,
    words: int = 256_000,
    prefix: str = "",
) -> None:
    """Gemma 2, whose norms multiply by one more than their weights; heads are 256 wide."""
    root = f"{prefix}model."
    draw.put(f"{root}embed_tokens.weight", (words, width), 0.05)
    for layer in range(layers):
        key = f"{root}layers.{layer}"
        for name, number in (("q", heads[0]), ("k", heads[1]), ("v", heads[1])):
            draw.linear(f"{key}.self_attn.{name}_proj", width, number * 256, bias=False)
        draw.linear(f"{key}.self_attn.o_proj", heads[0] * 256, width, bias=False)
        draw.linear(f"{key}.mlp.gate_proj", width, inner, bias=False)
        draw.linear(f"{key}.mlp.up_proj", width, inner, bias=False)
        draw.linear(f"{key}.mlp.down_proj", inner, width, bias=False)
        for norm in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
            draw.put(f"{key}.{norm}_layernorm.weight", (width,), 0.1)
    draw.put(f"{root}norm.weight", (width,), 0.1)


def small_gemma2(layers: int = 2) -> Tensors:
    """A Gemma 2 of full width in a file of its own, with a tokenizer: 5 M parameters."""
    draw = Draw(17)
    gemma2(draw, heads=(1, 1), layers=layers, words=len(pieces()))
    return draw.tensors | {"spiece_model": as_tensor(sentencepiece_model())}


def small_qwen3(width: int = 2560, seed: int = 11) -> Tensors:
    """A Qwen3 of full width in a file of its own, for the tokenizer of `BYTES`: 3 M parameters."""
    draw = Draw(seed)
    qwen3(draw, width=width, words=_WORDS)
    return draw.tensors


def deep_qwen3(width: int = 2560) -> Tensors:
    """A Qwen3 like `small_qwen3` with 28 layers, as FLUX.2 reads the 27th: 9 M parameters."""
    draw = Draw(29)
    qwen3(draw, width=width, heads=(1, 1), inner=16, layers=28, words=_WORDS)
    return draw.tensors


HEADS_OF_16 = {"config": json.dumps({"mistral3": {"head_dim": 16}})}
"""The metadata of `small_mistral`: published ones have heads of 128."""


def small_mistral(layers: int = 4) -> Tensors:
    """A Mistral Small 3 of full width in a file of its own, with a tokenizer: 4 M parameters."""
    draw = Draw(41)
    qwen3(draw, width=5120, heads=(1, 1), inner=16, layers=layers, words=SIZE, normed=False)
    return draw.tensors | {"tekken_model": tekken_tensor()}


def small_qwen3_vl(width: int = 2560, **sizes: Any) -> Tensors:
    """Qwen3-VL of full width in a file of its own, for `BYTES`, with a weight of its eyes."""
    draw = Draw(23)
    qwen3(draw, width=width, words=_WORDS, **sizes)
    draw.put("visual.deepstack_merger_list.0.norm.weight", (8,), 1.0)
    return draw.tensors


def deep_qwen3_vl() -> Tensors:
    """The same with 36 narrow layers, for families that read deep ones: 10 M parameters."""
    return small_qwen3_vl(layers=36, heads=(1, 1), inner=16)


def qwen2_5_vl(draw: Draw, *, words: int = 152_064, prefix: str = "") -> None:
    """The language part of Qwen2.5-VL with two layers of one head each."""
    qwen3(
        draw, width=128, head=128, heads=(1, 1), layers=2, words=words, prefix=prefix, biased=True
    )


def qwen2_5_vision(draw: Draw, *, width: int, blocks: int = 2, prefix: str = "visual.") -> None:
    """The vision encoder of Qwen2.5-VL with one head, for a language model of a width."""
    own, inner = 8, 12
    draw.weight(f"{prefix}patch_embed.proj.weight", own, 3, 2, 14, 14)
    for block in range(blocks):
        key = f"{prefix}blocks.{block}"
        draw.scale(f"{key}.norm1.weight", own)
        draw.scale(f"{key}.norm2.weight", own)
        draw.linear(f"{key}.attn.qkv", own, 3 * own)
        draw.linear(f"{key}.attn.proj", own, own)
        draw.linear(f"{key}.mlp.gate_proj", own, inner)
        draw.linear(f"{key}.mlp.up_proj", own, inner)
        draw.linear(f"{key}.mlp.down_proj", inner, own)
    draw.scale(f"{prefix}merger.ln_q.weight", own)
    draw.linear(f"{prefix}merger.mlp.0", 4 * own, 4 * own)
    draw.linear(f"{prefix}merger.mlp.2", 4 * own, width)


def qwen3_vision(
    draw: Draw, *, width: int, blocks: int = 3, prefix: str = "visual.", deep: bool = True
) -> None:
    """The vision encoder of Qwen3-VL with one head, whose first two blocks are read, too.

    Without those deep states it is Qwen3.5's.
    """
    own, inner = 8, 12
    draw.weight(f"{prefix}patch_embed.proj.weight", own, 3, 2, 16, 16)
    draw.put(f"{prefix}patch_embed.proj.bias", (own,), 0.05)
    draw.put(f"{prefix}pos_embed.weight", (16, own), 0.5)
    for block in range(blocks):
        key = f"{prefix}blocks.{block}"
        draw.norm(f"{key}.norm1", own)
        draw.norm(f"{key}.norm2", own)
        draw.linear(f"{key}.attn.qkv", own, 3 * own)
        draw.linear(f"{key}.attn.proj", own, own)
        draw.linear(f"{key}.mlp.linear_fc1", own, inner)
        draw.linear(f"{key}.mlp.linear_fc2", inner, own)
    for merger, inputs in (
        ("merger", own),
        *((f"deepstack_merger_list.{n}", 4 * own) for n in (0, 1) if deep),
    ):
        draw.norm(f"{prefix}{merger}.norm", inputs)
        draw.linear(f"{prefix}{merger}.linear_fc1", 4 * own, 4 * own)
        draw.linear(f"{prefix}{merger}.linear_fc2", 4 * own, width)


VISION_SIZES = {
    "qwen2_5_vl_vision": {"num_heads": 1, "window_size": 56, "fullatt_block_indexes": [1]},
    "qwen3_vl_vision": {"num_heads": 1, "deepstack_visual_indexes": [0, 1]},
    "qwen3_5_vision": {"num_heads": 1},
}
"""The entries of the tiny vision encoders' configurations that shapes do not tell."""
SEEING = {**BYTES, "config": json.dumps(VISION_SIZES)}
"""The metadata of language models of bytes with such a vision encoder beside them."""


def small_qwen2_5_vl() -> Tensors:
    """Qwen2.5-VL of full width in a file of its own, for `SEEING`: 27 M parameters in one layer.

    It has a vision encoder and the head that predicts words, as published files do.
    """
    draw = Draw(15)
    qwen3(draw, width=3584, head=128, heads=(28, 1), layers=1, words=_WORDS, biased=True)
    qwen2_5_vision(draw, width=3584)
    draw.put("lm_head.weight", (8, 4), 1.0)
    return draw.tensors


def their_tokenizer() -> Qwen2Tokenizer:
    """Transformers' tokenizer with the vocabulary of `BYTES`, and Qwen3's chat of plain texts."""
    theirs = Qwen2Tokenizer(json.loads(BYTES["tokenizer.vocab"]), [])
    theirs.add_tokens(list(QWEN3_SPECIAL))
    theirs.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n"
        "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
    )
    return theirs
