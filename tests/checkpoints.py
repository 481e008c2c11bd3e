"""Checkpoints with random weights in the original layouts, bit for bit the same on any machine.

Every tensor is drawn on its own: a generator seeded with sha256("<seed>:<key>") gives uniform
numbers u, mapped to (2u - 1) * sqrt(3) * std + mean and stored as float16. So a file is fixed by
its keys, shapes and seed. `tiny_*` are what the reference numbers were made with: built once,
kept in the user's cache folder (`NODEGRAPH_TEST_CACHE` moves it). `small_sd15` is for everything
else: as small as the family allows.
"""

import hashlib
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file
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
        unit = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        self.tensors[key] = (unit * math.sqrt(3.0) * std + mean).to(self.dtype)

    def weight(self, key: str, *shape: int, gain: float = 1.0) -> None:
        self.put(key, shape, gain / math.sqrt(math.prod(shape[1:])))

    def linear(self, key: str, inputs: int, outputs: int, *, bias: bool = True) -> None:
        self.weight(f"{key}.weight", outputs, inputs)
        if bias:
            self.put(f"{key}.bias", (outputs,), 0.05)

    def conv(self, key: str, inputs: int, outputs: int, size: int, gain: float = 1.0) -> None:
        self.weight(f"{key}.weight", outputs, inputs, size, size, gain=gain)
        self.put(f"{key}.bias", (outputs,), 0.05)

    def norm(self, key: str, width: int) -> None:
        self.put(f"{key}.weight", (width,), 0.1, 1.0)
        self.put(f"{key}.bias", (width,), 0.05)


def unet(draw: Draw, width: int = 320, text: int = 768, channels: int = 4) -> None:
    """Two levels of one block each, attention on the first."""
    p = "model.diffusion_model."
    draw.linear(f"{p}time_embed.0", width, width * 4)
    draw.linear(f"{p}time_embed.2", width * 4, width * 4)
    draw.conv(f"{p}input_blocks.0.0", channels, width, 3)
    _res(draw, f"{p}input_blocks.1.0", width, width, width)
    _attention(draw, f"{p}input_blocks.1.1", width, text)
    draw.conv(f"{p}input_blocks.2.0.op", width, width, 3)
    _res(draw, f"{p}input_blocks.3.0", width, width * 2, width)
    _res(draw, f"{p}middle_block.0", width * 2, width * 2, width)
    _attention(draw, f"{p}middle_block.1", width * 2, text)
    _res(draw, f"{p}middle_block.2", width * 2, width * 2, width)
    _res(draw, f"{p}output_blocks.0.0", width * 4, width * 2, width)
    _res(draw, f"{p}output_blocks.1.0", width * 3, width * 2, width)
    draw.conv(f"{p}output_blocks.1.1.conv", width * 2, width * 2, 3)
    for block, inputs in ((2, 3), (3, 2)):
        _res(draw, f"{p}output_blocks.{block}.0", width * inputs, width, width)
        _attention(draw, f"{p}output_blocks.{block}.1", width, text)
    draw.norm(f"{p}out.0", width)
    draw.conv(f"{p}out.2", width, 4, 3)


def _res(draw: Draw, key: str, inputs: int, outputs: int, width: int) -> None:
    draw.norm(f"{key}.in_layers.0", inputs)
    draw.conv(f"{key}.in_layers.2", inputs, outputs, 3)
    draw.linear(f"{key}.emb_layers.1", width * 4, outputs)
    draw.norm(f"{key}.out_layers.0", outputs)
    draw.conv(f"{key}.out_layers.3", outputs, outputs, 3)
    if inputs != outputs:
        draw.conv(f"{key}.skip_connection", inputs, outputs, 1)


def _attention(draw: Draw, key: str, width: int, text: int) -> None:
    draw.norm(f"{key}.norm", width)
    draw.conv(f"{key}.proj_in", width, width, 1)
    block = f"{key}.transformer_blocks.0"
    for name, inputs in (("attn1", width), ("attn2", text)):
        draw.linear(f"{block}.{name}.to_q", width, width, bias=False)
        draw.linear(f"{block}.{name}.to_k", inputs, width, bias=False)
        draw.linear(f"{block}.{name}.to_v", inputs, width, bias=False)
        draw.linear(f"{block}.{name}.to_out.0", width, width)
    draw.linear(f"{block}.ff.net.0.proj", width, width * 8)
    draw.linear(f"{block}.ff.net.2", width * 4, width)
    for norm in ("norm1", "norm2", "norm3"):
        draw.norm(f"{block}.{norm}", width)
    draw.conv(f"{key}.proj_out", width, width, 1)


def vae(draw: Draw, width: int = 32, multipliers: tuple[int, ...] = (1, 2, 4, 4)) -> None:
    """Four levels of two blocks, four latent channels."""
    p, widths = "first_stage_model.", [width * m for m in multipliers]
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
    draw.conv(f"{p}encoder.conv_out", now, 8, 3)
    draw.conv(f"{p}decoder.conv_in", 4, now, 3)
    _vae_middle(draw, f"{p}decoder.mid", now)
    for level, wide in reversed(list(enumerate(widths))):
        for block in range(3):
            _vae_res(draw, f"{p}decoder.up.{level}.block.{block}", now, wide)
            now = wide
        if level:
            draw.conv(f"{p}decoder.up.{level}.upsample.conv", now, now, 3)
    draw.norm(f"{p}decoder.norm_out", now)
    draw.conv(f"{p}decoder.conv_out", now, 3, 3, gain=0.7)
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


def clip(draw: Draw, width: int = 768, layers: int = 3) -> None:
    """A text encoder whose MLPs are as wide as itself."""
    p = "cond_stage_model.transformer.text_model."
    draw.put(f"{p}embeddings.token_embedding.weight", (49408, width), 0.04)
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


def tiny_sd15() -> Tensors:
    """The checkpoint of the SD 1.5 reference numbers: 134 M parameters."""
    draw = Draw(15)
    unet(draw)
    vae(draw)
    clip(draw)
    return draw.tensors


def small_sd15(seed: int = 1, width: int = 32) -> Tensors:
    """The same family, 6 M parameters, most of them the text encoder's vocabulary."""
    draw = Draw(seed)
    unet(draw, width=width, text=64)
    vae(draw, multipliers=(1, 1, 1, 1))
    clip(draw, width=64, layers=2)
    return draw.tensors


def lora(seed: int, targets: Mapping[str, tuple[int, ...]], rank: int = 4) -> Tensors:
    """Kohya's layout; `targets` has the shape of each weight, by the name before its parts."""
    draw = Draw(seed)
    for key, shape in targets.items():
        draw.weight(f"{key}.lora_down.weight", rank, *shape[1:])
        ones = (1, 1) if len(shape) == 4 else ()
        draw.put(f"{key}.lora_up.weight", (shape[0], rank, *ones), 0.5)
        draw.tensors[f"{key}.alpha"] = torch.tensor(2.0, dtype=torch.float16)
    return draw.tensors


def tiny_sd15_lora() -> Tensors:
    """A LoRA for `tiny_sd15`, in diffusers' names."""
    targets: dict[str, tuple[int, ...]] = {}
    places = (("down_blocks_0", 0, 320), ("mid_block", 0, 640), ("up_blocks_1", 1, 320))
    for place, number, width in places:
        key = f"lora_unet_{place}_attentions_{number}_"
        targets[f"{key}proj_in"] = (width, width, 1, 1)
        for name, inputs in (("attn1", width), ("attn2", 768)):
            attention = f"{key}transformer_blocks_0_{name}_to_"
            targets |= {f"{attention}{part}": (width, width) for part in ("q", "out_0")}
            targets |= {f"{attention}{part}": (width, inputs) for part in ("k", "v")}
        targets[f"{key}transformer_blocks_0_ff_net_0_proj"] = (width * 8, width)
        targets[f"{key}transformer_blocks_0_ff_net_2"] = (width, width * 4)
    targets["lora_unet_down_blocks_0_resnets_0_conv1"] = (320, 320, 3, 3)
    for layer in range(3):
        key = f"lora_te_text_model_encoder_layers_{layer}_"
        names = ("self_attn_q_proj", "self_attn_v_proj", "mlp_fc1")
        targets |= {f"{key}{name}": (768, 768) for name in names}
    return lora(151, targets)


def labemb() -> Tensors:
    """An embedding of two vectors for `tiny_sd15`."""
    draw = Draw(70, torch.float32)
    draw.put("emb_params", (2, 768), 0.04)
    return draw.tensors


_FILES: Mapping[str, tuple[Callable[[], Tensors], str]] = {
    "checkpoints/tiny_sd15.safetensors": (tiny_sd15, "62f79c34a9c147fb"),
    "loras/tiny_sd15_lora.safetensors": (tiny_sd15_lora, "d8bbae64f96376de"),
    "embeddings/labemb.safetensors": (labemb, "745677eb7ca59536"),
}
"""How each is built, and the start of its content's hash."""


@cache
def tiny_models() -> Path:
    """A folder with `models/` below it that holds every `tiny_*` file; built if need be."""
    home = os.environ.get("NODEGRAPH_TEST_CACHE") or Path.home() / ".cache" / "nodegraph-tests"
    for name, (build, content) in _FILES.items():
        path = Path(home) / "models" / name
        if not path.exists():
            tensors = build()
            assert content_hash(tensors).startswith(content), f"{name} came out differently"
            write(path, tensors)
    return Path(home)


def write(path: Path, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> Path:
    """Write a safetensors file so that nobody sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        unfinished = Path(folder) / "unfinished"
        save_file(tensors, unfinished, metadata={"format": "pt", **(metadata or {})})
        unfinished.replace(path)
    return path


def content_hash(tensors: Tensors) -> str:
    """A hash of keys and values, whatever their order in a file."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        digest.update(key.encode())
        digest.update(tensors[key].numpy().tobytes())
    return digest.hexdigest()
