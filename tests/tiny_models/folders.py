"""Checkpoints of every family in the original layout, and the same as diffusers' folders."""

import copy
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nodes.models.families.registry import layout_of
from nodes.models.loading.checkpoint import Checkpoint
from nodes.models.loading.text_model import TextEncoder
from tests.tiny_models.checkpoints import (
    small_ae16,
    small_flux,
    small_refiner,
    small_sd3,
    small_sd15,
    small_sd21,
    small_sdxl,
)
from tests.tiny_models.flux2_vae import flux2_vae
from tests.tiny_models.language_models import qwen2_5_vl, qwen3
from tests.tiny_models.qwen21_vae import qwen21_vae
from tests.tiny_models.random_weights import Draw, Tensors, clip, t5
from tests.tiny_models.transformer_networks import (
    anima,
    chroma,
    flux2,
    flux3,
    krea2,
    longcat_image,
    qwen_image,
    qwen_image21,
    z_image,
)
from tests.tiny_models.wan_vae import wan_vae
from tests.tiny_models.whole_models import whole_lumina2

_MODEL, _VAE = "model.diffusion_model.", "first_stage_model."


def whole_flux(*, guidance: bool = True) -> Tensors:
    """FLUX.1 with all that belongs to it in one file, 6 M parameters."""
    draw = Draw(8)
    clip(draw, 64, 2, "text_encoders.clip_l.transformer.")
    t5(draw, 64, 64, 2, "text_encoders.t5xxl.transformer.")
    tensors = draw.tensors | small_ae16(prefix=_VAE)
    return tensors | small_flux(guidance=guidance, prefix=_MODEL)


def whole_flux2() -> Tensors:
    """FLUX.2 klein with all that belongs to it in one file, its text encoder 28 layers deep."""
    draw = Draw(37)
    flux2(draw, prefix=_MODEL)
    prefix = "text_encoders.qwen3_4b.transformer."
    qwen3(draw, prefix=prefix, heads=(1, 1), inner=16, layers=28)
    flux2_vae(draw, prefix=_VAE)
    return draw.tensors


def whole_chroma() -> Tensors:
    """Chroma with all that belongs to it in one file, 3 M parameters."""
    draw = Draw(27)
    chroma(draw, prefix=_MODEL)
    t5(draw, 64, 64, 2, "text_encoders.t5xxl.transformer.")
    return draw.tensors | small_ae16(prefix=_VAE)


def whole_z_image() -> Tensors:
    """Z-Image with all that belongs to it in one file, 6 M parameters."""
    draw = Draw(10)
    z_image(draw, prefix=_MODEL)
    qwen3(draw, prefix="text_encoders.qwen3_4b.transformer.")
    return draw.tensors | small_ae16(prefix=_VAE)


def whole_qwen_image() -> Tensors:
    """Qwen-Image with all that belongs to it in one file, 21 M parameters."""
    draw = Draw(13)
    qwen_image(draw, prefix=_MODEL)
    qwen2_5_vl(draw, prefix="text_encoders.qwen25_7b.transformer.")
    wan_vae(draw, prefix=_VAE)
    return draw.tensors


def whole_anima() -> Tensors:
    """Anima with all that belongs to it in one file, 7 M parameters."""
    draw = Draw(18)
    anima(draw, text=32, prefix=_MODEL)
    qwen3(draw, prefix="text_encoders.qwen3_06b.transformer.")
    wan_vae(draw, prefix=_VAE)
    return draw.tensors


def whole_krea2(words: int = 151_936) -> Tensors:
    """Krea 2 with all that belongs to it in one file, 6 M parameters with the usual vocabulary."""
    draw = Draw(25)
    krea2(draw, prefix=_MODEL)
    text = "text_encoders.qwen3vl_4b.transformer."
    qwen3(draw, layers=36, inner=32, words=words, prefix=text)
    draw.put(f"{text}visual.deepstack_merger_list.0.norm.weight", (8,), 1.0)
    wan_vae(draw, prefix=_VAE)
    return draw.tensors


def whole_qwen_image21() -> Tensors:
    """Qwen-Image 2.1 with all that belongs to it in one file, 6 M parameters."""
    draw = Draw(19)
    qwen_image21(draw, text=32, prefix=_MODEL)
    prefix = "text_encoders.qwen3vl_8b.transformer."
    qwen3(draw, prefix=prefix)
    draw.put(f"{prefix}visual.deepstack_merger_list.0.norm.weight", (8,), 1.0)
    qwen21_vae(draw, prefix=_VAE)
    return draw.tensors


def whole_flux3(*, jumps: bool = False) -> Tensors:
    """FLUX.3 with all that belongs to it in one file, 5 M parameters; distilled with `jumps`."""
    draw = Draw(27)
    flux3(draw, text=8 * 16, jumps=jumps, prefix=_MODEL)
    text = "text_encoders.qwen3vl_4b.transformer."
    qwen3(draw, width=16, heads=(1, 1), inner=16, layers=33, prefix=text)
    flux2_vae(draw, prefix=_VAE)
    return draw.tensors


def whole_longcat_image() -> Tensors:
    """LongCat-Image with all that belongs to it in one file, 21 M parameters."""
    draw = Draw(14)
    longcat_image(draw, prefix=_MODEL)
    qwen2_5_vl(draw, prefix="text_encoders.qwen25_7b.transformer.")
    return draw.tensors | small_ae16(prefix=_VAE)


ORIGINALS: Mapping[str, Callable[[], Tensors]] = {
    "sd15": small_sd15,
    "sd2": small_sd21,
    "sdxl": small_sdxl,
    "refiner": small_refiner,
    "sd3": small_sd3,
    "sd35": lambda: small_sd3(normed=True, dual=1),
    "flux": whole_flux,
    "schnell": lambda: whole_flux(guidance=False),
    "flux2": whole_flux2,
    "chroma": whole_chroma,
    "z_image": whole_z_image,
    "qwen_image": whole_qwen_image,
    "anima": whole_anima,
    "qwen_image21": whole_qwen_image21,
    "flux3": whole_flux3,
    "lumina2": whole_lumina2,
    "longcat_image": whole_longcat_image,
    "krea2": whole_krea2,
}
"""Every layout."""
_ALIKE = ("sd2", "refiner", "sd35", "schnell")
"""Those whose files are like another one's, with other widths or fewer parts."""
_TEXT_FOLDERS = {"refiner": ("text_encoder_2",)}
_ALL_TEXT = ("text_encoder", "text_encoder_2", "text_encoder_3")


def layouts(*slow: str, without: str = "") -> list[Any]:
    """Return the names of all layouts for tests; those of some, and of those alike, are slow.

    Args:
        slow: those that take long in the test.
        without: one that is left out.
    """
    return [
        pytest.param(name, marks=pytest.mark.slow if name in (*slow, *_ALIKE) else ())
        for name in ORIGINALS
        if name != without
    ]


@cache
def original(name: str) -> Tensors:
    """A checkpoint of `ORIGINALS`, drawn once."""
    return ORIGINALS[name]()


def write_folder(folder: Path, name: str, checkpoint: Checkpoint, **saving: Any) -> Path:
    """Write an opened checkpoint of that name as diffusers does, in float16.

    Args:
        folder: which is made.
        name: one of `ORIGINALS`.
        checkpoint: in the original layout.
        saving: for `save_pretrained`, such as `max_shard_size` or `variant`.
    """
    model = checkpoint.model.network
    place = "unet" if model.spec.kind == "unet" else "transformer"
    _save_denoiser(checkpoint, folder, place, **saving)
    _save(checkpoint.vae.network.module(), folder / "vae", **saving)
    names = _TEXT_FOLDERS.get(name, _ALL_TEXT)
    for place, encoder in zip(names, checkpoint.text.encoders, strict=False):
        _save_text(encoder, folder / place)
        if encoder.rules.vocabulary_tensor:
            (folder / "tokenizer").mkdir()
            data = encoder.rules.vocabulary.encode("latin-1")
            (folder / "tokenizer/tokenizer.model").write_bytes(data)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "Pipeline"}))
    return folder


def _save_denoiser(checkpoint: Checkpoint, folder: Path, place: str, **saving: Any) -> None:
    """Write the denoiser, without its modules that have folders of their own."""
    spec = checkpoint.model.spec
    module = copy.deepcopy(checkpoint.model.network.module())
    for inner, start in layout_of(spec.family, ()).modules.items():
        name = start.removesuffix(".")
        _save(module.get_submodule(name), folder / inner, **saving)
        delattr(module, name)
    _save(module, folder / place, **saving)


def _save(module: nn.Module, folder: Path, **saving: Any) -> None:
    half = copy.deepcopy(module).to(torch.float16)
    cast("Any", half).save_pretrained(folder, **saving)


def _save_text(encoder: TextEncoder, folder: Path) -> None:
    """As the hub has them: with the names of transformers before its version 5."""
    folder.mkdir()
    module = encoder.network.module()
    config = {**encoder.network.spec.config, "bos_token_id": 0, "eos_token_id": 2}
    tensors = {
        key: tensor.half().clone(memory_format=torch.contiguous_format)
        for key, tensor in module.state_dict().items()
    }
    if encoder.name == "t5xxl":
        tensors = {f"encoder.{key}": tensor for key, tensor in tensors.items()}
        tensors["shared.weight"] = tensors["encoder.embed_tokens.weight"].clone()
    elif encoder.name.startswith(("qwen", "gemma")):
        tensors = {f"model.{key}": tensor for key, tensor in tensors.items()}
    else:
        above = {key: t for key, t in tensors.items() if key.startswith("text_projection")}
        tensors = {f"text_model.{key}": t for key, t in tensors.items() if key not in above} | above
        tensors["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    if encoder.name == "clip_h":
        last = f"text_model.encoder.layers.{config['num_hidden_layers'] - 1}."
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith(last)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
