"""Checkpoints with random weights in the original layouts, bit for bit the same on any machine.

`tiny_*` are what the reference numbers were made with: built once, kept in the user's cache
folder (`NODEGRAPH_TEST_CACHE` moves it). `small_*` are for everything else: as small as the
family allows. See `tests.tiny_models.random_weights` for how weights are drawn.
"""

import hashlib
import json
import os
import string
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.tiny_models.control_networks import controlnet
from tests.tiny_models.random_weights import Draw, Levels, Tensors, clip, open_clip, t5, unet, vae
from tests.tiny_models.transformer_networks import flux, mmdit
from tests.tiny_models.vision_encoders import open_vision

PREDICTS_V = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
"""By how much its numbers differ, SD 2's two kinds are told apart."""
TINY_SDXL = Levels(
    multipliers=(1, 1, 2), blocks=2, depths=(0, 1, 2), middle=2, text=2048, linear=True, extra=2816
)
_SMALL_TEXT = 64
_LETTERS = [letter + end for end in ("", "</w>") for letter in string.ascii_lowercase]
_WORDS = [*_LETTERS, "<|startoftext|>", "<|endoftext|>"]
LETTERS = {
    "tokenizer.vocab": json.dumps({word: number for number, word in enumerate(_WORDS)}),
    "tokenizer.merges": "#version: 0.2",
}
"""The metadata of text encoders that know nothing but letters."""
SMALL_SD15 = Levels(32, text=_SMALL_TEXT)
SMALL_SD21 = Levels(64, text=_SMALL_TEXT, linear=True)
SMALL_SDXL = Levels(
    64, (1, 1, 2), 1, (0, 1, 2), 2, 2 * _SMALL_TEXT, linear=True, extra=_SMALL_TEXT + 6 * 256
)
"""The plans of the small U-Nets, which their ControlNets follow."""


def tiny_sd15() -> Tensors:
    """The checkpoint of the SD 1.5 reference numbers: 134 M parameters."""
    draw = Draw(15)
    unet(draw, Levels())
    vae(draw)
    clip(draw)
    return draw.tensors


def tiny_sd21() -> Tensors:
    """The one of the SD 2.1 base numbers: 157 M parameters."""
    draw = Draw(21)
    unet(draw, Levels(text=1024, linear=True))
    vae(draw)
    open_clip(draw, 1024)
    return draw.tensors


def tiny_sd21_v() -> Tensors:
    """The one of the SD 2.1 numbers, which predicts v and shows it: 190 M parameters."""
    draw = Draw(22)
    depths = (1, 1, 1, 0)
    unet(
        draw,
        Levels(multipliers=(1, 1, 1, 1), blocks=2, depths=depths, text=1024, linear=True),
    )
    draw.put(PREDICTS_V, (320,), 0.2)
    vae(draw)
    open_clip(draw, 1024)
    return draw.tensors


def tiny_sdxl() -> Tensors:
    """The one of the SDXL numbers: 402 M parameters."""
    draw = Draw(30)
    unet(draw, TINY_SDXL)
    vae(draw)
    clip(draw, prefix="conditioner.embedders.0.transformer.")
    open_clip(draw, 1280, prefix="conditioner.embedders.1.model.")
    return draw.tensors


def tiny_sd3() -> Tensors:
    """The one of the SD3 numbers without T5: 151 M parameters."""
    draw = Draw(33)
    mmdit(draw)
    vae(draw, channels=16)
    _sd3_clips(draw, 768, 1280)
    return draw.tensors


def tiny_sd3_t5() -> Tensors:
    """The one with T5, and with normed queries and keys as SD3.5 has them: 304 M parameters."""
    draw = Draw(34)
    mmdit(draw, normed=True)
    vae(draw, channels=16)
    _sd3_clips(draw, 768, 1280)
    t5(draw, prefix="text_encoders.t5xxl.transformer.")
    return draw.tensors


def _sd3_clips(draw: Draw, first: int, second: int, layers: int = 3) -> None:
    for name, width in (("clip_l", first), ("clip_g", second)):
        prefix = f"text_encoders.{name}.transformer."
        clip(draw, width, layers, prefix, projected=True)


def tiny_flux_dev() -> Tensors:
    """The transformer of the FLUX.1 dev numbers: 8 M parameters."""
    draw = Draw(40)
    flux(draw)
    return draw.tensors


def tiny_flux_schnell() -> Tensors:
    """The one of the FLUX.1 schnell numbers, which takes no guidance."""
    draw = Draw(41)
    flux(draw, guidance=False)
    return draw.tensors


def tiny_ae16() -> Tensors:
    """The VAE of the FLUX numbers: 16 channels, keys without a prefix."""
    draw = Draw(42)
    vae(draw, channels=16, prefix="")
    return draw.tensors


def tiny_clip_l() -> Tensors:
    """A CLIP text encoder in a file of its own."""
    draw = Draw(43)
    clip(draw, prefix="", projected=True)
    return draw.tensors


def tiny_t5xxl() -> Tensors:
    """A T5 encoder in a file of its own: 153 M parameters."""
    draw = Draw(44)
    t5(draw)
    return draw.tensors


def small_sd3(
    seed: int = 5, *, normed: bool = False, dual: int = 0, text: int = 2 * _SMALL_TEXT
) -> Tensors:
    """SD3, 7 M parameters; its own text encoders' texts are 4096 wide."""
    draw = Draw(seed)
    mmdit(draw, text=text, pooled=2 * _SMALL_TEXT, places=16, normed=normed, dual=dual)
    vae(draw, multipliers=(1, 1, 1, 1), channels=16)
    _sd3_clips(draw, _SMALL_TEXT, _SMALL_TEXT, layers=2)
    return draw.tensors


def small_flux(
    seed: int = 6, *, guidance: bool = True, prefix: str = "", double: int = 2, channels: int = 64
) -> Tensors:
    """The transformer of FLUX.1 alone, less than a million parameters."""
    draw = Draw(seed)
    sizes = {"width": 64, "head": 32, "text": _SMALL_TEXT, "pooled": _SMALL_TEXT}
    flux(draw, guidance=guidance, prefix=prefix, double=double, channels=channels, **sizes)
    return draw.tensors


def small_t5(seed: int = 8) -> Tensors:
    """A T5 encoder of full width that knows the first 2,048 words, 16 M parameters."""
    draw = Draw(seed)
    t5(draw, inner=64, heads=1, words=2048)
    return draw.tensors


def small_clip(width: int = 768, seed: int = 9) -> Tensors:
    """CLIP-L, H or G by its width, for the tokenizer of `LETTERS`."""
    draw = Draw(seed)
    clip(draw, width, layers=2, prefix="", projected=True, words=len(_WORDS))
    return draw.tensors


def small_ae16(seed: int = 7, prefix: str = "") -> Tensors:
    """The VAE of SD3 and FLUX alone."""
    draw = Draw(seed)
    vae(draw, multipliers=(1, 1, 1, 1), channels=16, prefix=prefix)
    return draw.tensors


def small_sd15(seed: int = 1, width: int = 32, channels: int = 4) -> Tensors:
    """The same family, 6 M parameters, most of them the text encoder's vocabulary."""
    draw = Draw(seed)
    unet(draw, replace(SMALL_SD15, width=width, channels=channels))
    vae(draw, multipliers=(1, 1, 1, 1))
    clip(draw, _SMALL_TEXT, layers=2)
    return draw.tensors


def small_sd21(seed: int = 2, channels: int = 4) -> Tensors:
    """Stable Diffusion 2, 7 M parameters."""
    draw = Draw(seed)
    unet(draw, replace(SMALL_SD21, channels=channels))
    vae(draw, multipliers=(1, 1, 1, 1))
    open_clip(draw, _SMALL_TEXT, layers=2)
    return draw.tensors


def small_unclip(seed: int = 8) -> Tensors:
    """Stable Diffusion 2's unCLIP with its vision encoder, 7 M parameters."""
    draw = Draw(seed)
    unet(draw, Levels(64, text=_SMALL_TEXT, linear=True, extra=2 * _SMALL_TEXT))
    vae(draw, multipliers=(1, 1, 1, 1))
    open_clip(draw, _SMALL_TEXT, layers=2)
    open_vision(draw, to=_SMALL_TEXT, prefix="embedder.model.visual.")
    draw.put("noise_augmentor.data_mean", (1, _SMALL_TEXT), 0.5)
    draw.put("noise_augmentor.data_std", (1, _SMALL_TEXT), 0.2, 1.0)
    return draw.tensors


def small_lotus(seed: int = 10, channels: int = 4) -> Tensors:
    """The U-Net of Lotus alone, for texts of full width, 3 M parameters."""
    draw = Draw(seed)
    unet(draw, Levels(64, text=1024, linear=True, extra=4, channels=channels))
    return draw.tensors


def small_sdxl(seed: int = 3, channels: int = 4) -> Tensors:
    """SDXL, 13 M parameters."""
    draw = Draw(seed)
    unet(draw, replace(SMALL_SDXL, channels=channels))
    vae(draw, multipliers=(1, 1, 1, 1))
    clip(draw, _SMALL_TEXT, layers=2, prefix="conditioner.embedders.0.transformer.")
    open_clip(draw, _SMALL_TEXT, layers=2, prefix="conditioner.embedders.1.model.")
    return draw.tensors


def small_refiner(seed: int = 4) -> Tensors:
    """SDXL's refiner, 8 M parameters."""
    draw = Draw(seed)
    extra = _SMALL_TEXT + 5 * 256
    unet(draw, Levels(64, (1, 1, 2), 1, (0, 2, 0), 2, _SMALL_TEXT, True, extra))
    vae(draw, multipliers=(1, 1, 1, 1))
    open_clip(draw, _SMALL_TEXT, layers=2, prefix="conditioner.embedders.0.model.")
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


def tiny_sdxl_lora() -> Tensors:
    """A LoRA for `tiny_sdxl`, in the original code's names."""
    targets: dict[str, tuple[int, ...]] = {}
    for place, width, depth in (("input_blocks_4_1", 320, 1), ("middle_block_1", 640, 2)):
        for block in range(depth):
            for name, inputs in (("attn1", width), ("attn2", 2048)):
                attention = f"lora_unet_{place}_transformer_blocks_{block}_{name}_to_"
                targets |= {f"{attention}{part}": (width, width) for part in ("q", "out_0")}
                targets |= {f"{attention}{part}": (width, inputs) for part in ("k", "v")}
    for layer in range(3):
        for encoder, name, width in (("1", "self_attn_q_proj", 768), ("2", "mlp_fc1", 1280)):
            key = f"lora_te{encoder}_text_model_encoder_layers_{layer}_{name}"
            targets[key] = (width, width)
    return lora(301, targets)


def tiny_sd15_controlnet() -> Tensors:
    """A ControlNet for `tiny_sd15`."""
    draw = Draw(153)
    controlnet(draw, Levels())
    return draw.tensors


def small_controlnet(plan: Levels, seed: int = 8, prefix: str = "control_model.") -> Tensors:
    """A ControlNet for one of the small U-Nets."""
    draw = Draw(seed)
    controlnet(draw, plan, prefix)
    return draw.tensors


def labemb() -> Tensors:
    """An embedding of two vectors for `tiny_sd15`."""
    draw = Draw(70, torch.float32)
    draw.put("emb_params", (2, 768), 0.04)
    return draw.tensors


_FILES: Mapping[str, tuple[Callable[[], Tensors], str]] = {
    "checkpoints/tiny_sd15.safetensors": (tiny_sd15, "62f79c34a9c147fb"),
    "checkpoints/tiny_sd21.safetensors": (tiny_sd21, "95410ab789c5b8ca"),
    "checkpoints/tiny_sd21_v.safetensors": (tiny_sd21_v, "73822cbde6163167"),
    "checkpoints/tiny_sdxl.safetensors": (tiny_sdxl, "8808b86649c7a9ef"),
    "checkpoints/tiny_sd3.safetensors": (tiny_sd3, "7650f7a640ba9bf0"),
    "checkpoints/tiny_sd3_t5.safetensors": (tiny_sd3_t5, "869933f944e68dbb"),
    "diffusion_models/tiny_flux_dev.safetensors": (tiny_flux_dev, "7832a1056b269c32"),
    "diffusion_models/tiny_flux_schnell.safetensors": (tiny_flux_schnell, "69b1c58df2a37fca"),
    "vae/tiny_ae16.safetensors": (tiny_ae16, "47df07a6a84b3692"),
    "text_encoders/tiny_clip_l.safetensors": (tiny_clip_l, "f80666ef05325c6f"),
    "text_encoders/tiny_t5xxl.safetensors": (tiny_t5xxl, "80361a198467df23"),
    "loras/tiny_sd15_lora.safetensors": (tiny_sd15_lora, "d8bbae64f96376de"),
    "loras/tiny_sdxl_lora.safetensors": (tiny_sdxl_lora, "0644b536e54eac6c"),
    "controlnet/tiny_sd15_controlnet.safetensors": (tiny_sd15_controlnet, "e5a6034863b23c2c"),
    "embeddings/labemb.safetensors": (labemb, "745677eb7ca59536"),
}
"""How each is built, and the start of its content's hash."""


def tiny_root() -> Path:
    """The folder with `models/` below it that the `tiny_*` files lie in, as far as needed yet."""
    home = os.environ.get("NODEGRAPH_TEST_CACHE")
    return Path(home) if home else Path.home() / ".cache" / "nodegraph-tests"


@cache
def tiny(name: str) -> Path:
    """One of the `tiny_*` files, by its folder and name; built if need be."""
    path = tiny_root() / "models" / name
    if not path.exists():
        build, content = _FILES[name]
        tensors = build()
        assert content_hash(tensors).startswith(content), f"{name} came out differently"
        write(path, tensors)
    return path


def tiny_models(text: str) -> Path:
    """The same folder with every `tiny_*` file that a text names, such as a workflow's."""
    for name in _FILES:
        if Path(name).stem in text:
            tiny(name)
    return tiny_root()


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
