"""Networks with random weights in the original layouts, bit for bit the same on any machine.

Every tensor is drawn on its own: a generator seeded with sha256("<seed>:<key>") gives uniform
numbers u, mapped to (2u - 1) * sqrt(3) * std + mean and stored as float16. So a file is fixed by
its keys, shapes and seed.
"""

import hashlib
import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


class Draw:
    """Draws tensors by name."""

    def __init__(self, seed: int, dtype: torch.dtype = torch.float16) -> None:
        self.tensors: Tensors = {}
        self.seed = seed
        self.dtype = dtype

    def put(self, key: str, shape: tuple[int, ...], std: float, mean: float = 0.0) -> None:
        digest = hashlib.sha256(f"{self.seed}:{key}".encode()).digest()
        seed = int.from_bytes(digest[:8], "big") & (2**63 - 1)
        drawn = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
        drawn.mul_(2).sub_(1).mul_(math.sqrt(3.0)).mul_(std).add_(mean)  # in place: some are large
        self.tensors[key] = drawn.to(self.dtype)

    def weight(self, key: str, *shape: int, gain: float = 1.0) -> None:
        self.put(key, shape, gain / math.sqrt(math.prod(shape[1:])))

    def linear(
        self, key: str, inputs: int, outputs: int, *, bias: bool = True, gain: float = 1.0
    ) -> None:
        self.weight(f"{key}.weight", outputs, inputs, gain=gain)
        if bias:
            self.put(f"{key}.bias", (outputs,), 0.05)

    def conv(self, key: str, inputs: int, outputs: int, size: int, gain: float = 1.0) -> None:
        self.weight(f"{key}.weight", outputs, inputs, size, size, gain=gain)
        self.put(f"{key}.bias", (outputs,), 0.05)

    def norm(self, key: str, width: int) -> None:
        self.scale(f"{key}.weight", width)
        self.put(f"{key}.bias", (width,), 0.05)

    def scale(self, key: str, width: int) -> None:
        self.put(key, (width,), 0.1, 1.0)


@dataclass(frozen=True)
class Levels:
    """The plan of a U-Net; of SD 1.5's tiny one unless said otherwise."""

    width: int = 320
    multipliers: tuple[int, ...] = (1, 2)
    blocks: int = 1
    depths: tuple[int, ...] = (1, 0)
    """How many transformer blocks an attention of each level has."""
    middle: int = 1
    text: int = 768
    linear: bool = False
    extra: int = 0
    """How wide the vector is that SDXL takes besides the text."""
    channels: int = 4


def unet(draw: Draw, plan: Levels) -> None:
    """A denoising U-Net."""
    p, width = "model.diffusion_model.", plan.width
    skips = unet_encoder(draw, plan, p)
    _unet_up(draw, f"{p}output_blocks", plan, skips)
    draw.norm(f"{p}out.0", width)
    draw.conv(f"{p}out.2", width, 4, 3)


def unet_encoder(draw: Draw, plan: Levels, prefix: str) -> list[int]:
    """All but the way up; returns how wide each thing is that the way up takes."""
    p, width = prefix, plan.width
    draw.linear(f"{p}time_embed.0", width, width * 4)
    draw.linear(f"{p}time_embed.2", width * 4, width * 4)
    if plan.extra:
        draw.linear(f"{p}label_emb.0.0", plan.extra, width * 4)
        draw.linear(f"{p}label_emb.0.2", width * 4, width * 4)
    draw.conv(f"{p}input_blocks.0.0", plan.channels, width, 3)
    skips = _unet_down(draw, f"{p}input_blocks", plan)
    deep = skips[-1]
    _res(draw, f"{p}middle_block.0", deep, deep, width)
    _attention(draw, f"{p}middle_block.1", deep, plan, plan.middle)
    _res(draw, f"{p}middle_block.2", deep, deep, width)
    return skips


def _unet_down(draw: Draw, key: str, plan: Levels) -> list[int]:
    """The way down; returns how wide each thing is that the way up takes."""
    now, skips = plan.width, [plan.width]
    for level, (multiplier, depth) in enumerate(zip(plan.multipliers, plan.depths, strict=True)):
        wide = plan.width * multiplier
        if level:
            draw.conv(f"{key}.{len(skips)}.0.op", now, now, 3)
            skips.append(now)
        for _ in range(plan.blocks):
            _res(draw, f"{key}.{len(skips)}.0", now, wide, plan.width)
            now = wide
            _attention(draw, f"{key}.{len(skips)}.1", wide, plan, depth)
            skips.append(wide)
    return skips


def _unet_up(draw: Draw, key: str, plan: Levels, skips: list[int]) -> None:
    now, skips, number = skips[-1], list(skips), 0
    for level in reversed(range(len(plan.multipliers))):
        wide, depth = plan.width * plan.multipliers[level], plan.depths[level]
        for block in range(plan.blocks + 1):
            _res(draw, f"{key}.{number}.0", now + skips.pop(), wide, plan.width)
            now = wide
            _attention(draw, f"{key}.{number}.1", wide, plan, depth)
            if level and block == plan.blocks:
                draw.conv(f"{key}.{number}.{2 if depth else 1}.conv", wide, wide, 3)
            number += 1


def _res(draw: Draw, key: str, inputs: int, outputs: int, width: int) -> None:
    draw.norm(f"{key}.in_layers.0", inputs)
    draw.conv(f"{key}.in_layers.2", inputs, outputs, 3)
    draw.linear(f"{key}.emb_layers.1", width * 4, outputs)
    draw.norm(f"{key}.out_layers.0", outputs)
    draw.conv(f"{key}.out_layers.3", outputs, outputs, 3)
    if inputs != outputs:
        draw.conv(f"{key}.skip_connection", inputs, outputs, 1)


def _attention(draw: Draw, key: str, width: int, plan: Levels, depth: int) -> None:
    if not depth:
        return
    project = draw.linear if plan.linear else partial(draw.conv, size=1)
    draw.norm(f"{key}.norm", width)
    project(f"{key}.proj_in", width, width)
    for number in range(depth):
        block = f"{key}.transformer_blocks.{number}"
        for name, inputs in (("attn1", width), ("attn2", plan.text)):
            draw.linear(f"{block}.{name}.to_q", width, width, bias=False)
            draw.linear(f"{block}.{name}.to_k", inputs, width, bias=False)
            draw.linear(f"{block}.{name}.to_v", inputs, width, bias=False)
            draw.linear(f"{block}.{name}.to_out.0", width, width)
        draw.linear(f"{block}.ff.net.0.proj", width, width * 8)
        draw.linear(f"{block}.ff.net.2", width * 4, width)
        for norm in ("norm1", "norm2", "norm3"):
            draw.norm(f"{block}.{norm}", width)
    project(f"{key}.proj_out", width, width)


def vae(
    draw: Draw,
    width: int = 32,
    multipliers: tuple[int, ...] = (1, 2, 4, 4),
    *,
    channels: int = 4,
    prefix: str = "first_stage_model.",
) -> None:
    """Four levels of two blocks; those of SD3 and FLUX, of 16 channels, have no quant layers."""
    p, widths = prefix, [width * m for m in multipliers]
    draw.conv(f"{p}encoder.conv_in", 3, width, 3)
    now = width
    for level, wide in enumerate(widths):
        for block in range(2):
            _vae_res(draw, f"{p}encoder.down.{level}.block.{block}", now, wide)
            now = wide
        if level < len(widths) - 1:
            draw.conv(f"{p}encoder.down.{level}.downsample.conv", now, now, 3)
    _vae_middle(draw, f"{p}encoder.mid", now)
    draw.norm(f"{p}encoder.norm_out", now)
    draw.conv(f"{p}encoder.conv_out", now, 2 * channels, 3)
    draw.conv(f"{p}decoder.conv_in", channels, now, 3)
    _vae_middle(draw, f"{p}decoder.mid", now)
    for level, wide in reversed(list(enumerate(widths))):
        for block in range(3):
            _vae_res(draw, f"{p}decoder.up.{level}.block.{block}", now, wide)
            now = wide
        if level:
            draw.conv(f"{p}decoder.up.{level}.upsample.conv", now, now, 3)
    draw.norm(f"{p}decoder.norm_out", now)
    draw.conv(f"{p}decoder.conv_out", now, 3, 3, gain=0.7)
    if channels == 4:
        draw.conv(f"{p}quant_conv", 8, 8, 1)
        draw.conv(f"{p}post_quant_conv", 4, 4, 1)


def _vae_res(draw: Draw, key: str, inputs: int, outputs: int) -> None:
    draw.norm(f"{key}.norm1", inputs)
    draw.conv(f"{key}.conv1", inputs, outputs, 3)
    draw.norm(f"{key}.norm2", outputs)
    draw.conv(f"{key}.conv2", outputs, outputs, 3)
    if inputs != outputs:
        draw.conv(f"{key}.nin_shortcut", inputs, outputs, 1)


def _vae_middle(draw: Draw, key: str, width: int) -> None:
    _vae_res(draw, f"{key}.block_1", width, width)
    draw.norm(f"{key}.attn_1.norm", width)
    for name in ("q", "k", "v", "proj_out"):
        draw.conv(f"{key}.attn_1.{name}", width, width, 1)
    _vae_res(draw, f"{key}.block_2", width, width)


def clip(
    draw: Draw,
    width: int = 768,
    layers: int = 3,
    prefix: str = "cond_stage_model.transformer.",
    *,
    projected: bool = False,
    words: int = 49408,
) -> None:
    """A text encoder in transformers' layout, whose MLPs are as wide as itself."""
    p = f"{prefix}text_model."
    draw.put(f"{p}embeddings.token_embedding.weight", (words, width), 0.04)
    draw.put(f"{p}embeddings.position_embedding.weight", (77, width), 0.02)
    for layer in range(layers):
        key = f"{p}encoder.layers.{layer}"
        draw.norm(f"{key}.layer_norm1", width)
        draw.norm(f"{key}.layer_norm2", width)
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            draw.linear(f"{key}.self_attn.{name}", width, width)
        draw.linear(f"{key}.mlp.fc1", width, width)
        draw.linear(f"{key}.mlp.fc2", width, width)
    draw.norm(f"{p}final_layer_norm", width)
    if projected:
        draw.linear(f"{prefix}text_projection", width, width, bias=False)


def t5(
    draw: Draw,
    width: int = 4096,
    inner: int = 512,
    heads: int = 4,
    prefix: str = "",
    words: int = 32128,
) -> None:
    """A T5 encoder of two layers, heads of 64."""
    draw.put(f"{prefix}shared.weight", (words, width), 1.0)
    for layer in range(2):
        key = f"{prefix}encoder.block.{layer}.layer"
        for name, gain in (("q", 0.3), ("k", 0.3), ("v", 1.0)):
            draw.linear(f"{key}.0.SelfAttention.{name}", width, heads * 64, bias=False, gain=gain)
        draw.linear(f"{key}.0.SelfAttention.o", heads * 64, width, bias=False)
        if layer == 0:
            draw.put(f"{key}.0.SelfAttention.relative_attention_bias.weight", (32, heads), 0.5)
        draw.scale(f"{key}.0.layer_norm.weight", width)
        draw.linear(f"{key}.1.DenseReluDense.wi_0", width, inner, bias=False)
        draw.linear(f"{key}.1.DenseReluDense.wi_1", width, inner, bias=False)
        draw.linear(f"{key}.1.DenseReluDense.wo", inner, width, bias=False)
        draw.scale(f"{key}.1.layer_norm.weight", width)
    draw.scale(f"{prefix}encoder.final_layer_norm.weight", width)


def open_clip(
    draw: Draw, width: int, layers: int = 3, prefix: str = "cond_stage_model.model."
) -> None:
    """A text encoder in OpenCLIP's layout, whose MLPs are as wide as itself."""
    draw.put(f"{prefix}token_embedding.weight", (49408, width), 0.04)
    draw.put(f"{prefix}positional_embedding", (77, width), 0.02)
    for layer in range(layers):
        key = f"{prefix}transformer.resblocks.{layer}"
        draw.norm(f"{key}.ln_1", width)
        draw.norm(f"{key}.ln_2", width)
        draw.weight(f"{key}.attn.in_proj_weight", 3 * width, width)
        draw.put(f"{key}.attn.in_proj_bias", (3 * width,), 0.05)
        draw.linear(f"{key}.attn.out_proj", width, width)
        draw.linear(f"{key}.mlp.c_fc", width, width)
        draw.linear(f"{key}.mlp.c_proj", width, width)
    draw.norm(f"{prefix}ln_final", width)
    draw.weight(f"{prefix}text_projection", width, width)
    draw.put(f"{prefix}logit_scale", (), 0.0, 4.6)
