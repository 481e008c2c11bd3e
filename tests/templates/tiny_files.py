"""Tiny model files with the names that templates give to published ones.

A file is of the family and in the format that its name says, so that loading is the same.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from tests.templates.lora_files import lora_for
from tests.tiny_models.checkpoints import (
    LETTERS,
    small_ae16,
    small_clip,
    small_lotus,
    small_refiner,
    small_sd3,
    small_sdxl,
    write,
)
from tests.tiny_models.control_networks import (
    qwen_image_blockwise,
    qwen_image_controlnet,
    textless_controlnet,
    z_image_control,
)
from tests.tiny_models.flux2_vae import small_flux2_vae
from tests.tiny_models.folders import whole_flux
from tests.tiny_models.language_models import (
    BYTES,
    HEADS_OF_16,
    SEEING,
    qwen3,
    qwen3_vision,
    small_mistral,
    small_qwen2_5_vl,
    small_qwen3,
    small_qwen3_5,
)
from tests.tiny_models.quantized_files import layers_in, scaled
from tests.tiny_models.qwen21_vae import small_qwen21_vae
from tests.tiny_models.random_weights import Draw, Tensors, t5
from tests.tiny_models.transformer_networks import flux, flux2
from tests.tiny_models.upscalers import esrgan
from tests.tiny_models.vision_encoders import open_vision, projector, redux, siglip
from tests.tiny_models.wan_vae import small_wan_vae
from tests.tiny_models.whole_models import (
    small_anima,
    small_chroma,
    small_flux2_dev,
    small_flux3,
    small_ft_mse,
    small_klein,
    small_krea2,
    small_longcat_image,
    small_qwen3_vl_8b,
    small_qwen_image,
    small_qwen_image21,
    small_qwen_image_layered,
    small_z_image,
    whole_lumina2,
)

Build = Callable[[], Tensors]
_E4M3 = torch.float8_e4m3fn


def drawn(build: Callable[..., None], *given: object, seed: int = 70, **options: object) -> Build:
    """Return a function that draws one network."""

    def draw_it() -> Tensors:
        draw = Draw(seed)
        build(draw, *given, **options)
        return draw.tensors

    return draw_it


@dataclass(frozen=True, slots=True)
class TinyFile:
    """One kind of file: the names that it has, and how to draw a tiny one."""

    folder: str
    names: str
    """A regular expression of whole names without their suffix."""
    build: Build
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    lacking: str = ""
    """The family of the published file if that can not be read here: one that is not opened while a
    switch is off."""


def _flux(channels: int = 64, *, guidance: bool = True) -> Build:
    sizes = {"width": 64, "head": 32, "text": 4096, "pooled": 768}
    return drawn(flux, channels=channels, guidance=guidance, **sizes)


def _deep_qwen3(width: int = 2560, *, sees: bool = False) -> Tensors:
    """Qwen3 or Qwen3-VL with all of its layers, narrow ones: families read deep states."""
    draw = Draw(72)
    qwen3(draw, width=width, heads=(1, 1), inner=16, layers=36, words=288)
    if sees:
        qwen3_vision(draw, width=width)
    return draw.tensors


def _wide_qwen3_5() -> Tensors:
    """Qwen3.5 with the width of its size 9B, and all that such a file has."""
    return small_qwen3_5(4096, head=True, sees=True)


def _encoded(tokens: int = 8) -> Tensors:
    """A prompt that was encoded before, of the width of Qwen2.5-VL 7B."""
    draw = Draw(73)
    draw.put("conditioning", (1, tokens, 3584), 1.0)
    return draw.tensors


FLUX, QWEN_IMAGE, Z_IMAGE = _flux(), small_qwen_image, small_z_image
_MODELS, _TEXT, _LORAS = "diffusion_models", "text_encoders", "loras"
FILES: tuple[TinyFile, ...] = (
    TinyFile("checkpoints", "flux1-dev-fp8", whole_flux, LETTERS),
    TinyFile("checkpoints", "flux1-schnell-fp8", partial(whole_flux, guidance=False), LETTERS),
    TinyFile("checkpoints", "NetaYume.*", whole_lumina2),
    TinyFile("checkpoints", r"sd3\.5_large.*", partial(small_sd3, normed=True, text=4096), LETTERS),
    TinyFile("checkpoints", "sd_xl_(base|turbo).*", small_sdxl, LETTERS),
    TinyFile("checkpoints", "sd_xl_refiner.*", small_refiner, LETTERS),
    TinyFile("clip_vision", "clip_vision_g", drawn(open_vision)),
    TinyFile("clip_vision", "sigclip.*", drawn(siglip)),
    TinyFile(
        "controlnet",
        r"sd3\.5_large_controlnet.*",
        drawn(textless_controlnet, width=128, pooled=128, blocks=1),
    ),
    TinyFile(
        "controlnet",
        "Qwen-Image-InstantX-.*Inpaint.*",
        drawn(qwen_image_controlnet, text=3584, extra=4),
    ),
    TinyFile("controlnet", "Qwen-Image-InstantX.*", drawn(qwen_image_controlnet, text=3584)),
    TinyFile(_MODELS, "flux1?.1?-?fill-dev.*", _flux(384)),
    TinyFile(_MODELS, "flux1-canny-dev", _flux(128)),
    TinyFile(_MODELS, "flux1-schnell", _flux(guidance=False)),
    TinyFile(_MODELS, "flux1-(krea-)?dev.*", FLUX),
    TinyFile(_MODELS, "flux-2-klein-(base-)?4b.*", small_klein),
    TinyFile(_MODELS, "flux-2-klein-(base-)?9b.*", drawn(flux2, text=3 * 4096)),
    TinyFile(_MODELS, "flux2_dev.*", small_flux2_dev),
    TinyFile(_MODELS, "flux3-image-klein-base.*", small_flux3),
    TinyFile(_MODELS, "flux3-image-klein.*", partial(small_flux3, jumps=True)),
    TinyFile(_MODELS, "anima.*", small_anima),
    TinyFile(_MODELS, "krea2_turbo.*", small_krea2),
    TinyFile(_MODELS, "Chroma1-HD.*", small_chroma),
    TinyFile(_MODELS, "lotus.*", small_lotus),
    TinyFile(_MODELS, r"qwen_image_2\.1.*", small_qwen_image21),
    TinyFile(_MODELS, "qwen_image_layered.*", small_qwen_image_layered),
    TinyFile(_MODELS, "longcat_image_bf16", small_longcat_image),
    TinyFile(_MODELS, "qwen_image(_2512)?_fp8_e4m3fn", QWEN_IMAGE),
    TinyFile(_MODELS, "(?i:qwen_image_edit|firered|qwen-image-edit).*", QWEN_IMAGE),
    TinyFile(_MODELS, "z_image.*", Z_IMAGE),
    TinyFile(_TEXT, "clip_l", small_clip, LETTERS),
    TinyFile(_TEXT, r"qwen3\.5_9b.*", _wide_qwen3_5, SEEING),
    TinyFile(_TEXT, r"qwen_2\.5_vl_7b.*", small_qwen2_5_vl, SEEING),
    TinyFile(_TEXT, "qwen3vl_4b.*", partial(_deep_qwen3, sees=True), SEEING),
    TinyFile(_TEXT, "qwen3vl_8b_(int8|fp8).*", small_qwen3_vl_8b, SEEING),
    TinyFile(_TEXT, "qwen_3_06b.*", partial(small_qwen3, 1024), BYTES),
    TinyFile(_TEXT, "qwen_3_4b.*", _deep_qwen3, BYTES),
    TinyFile(_TEXT, "qwen_3_8b.*", partial(_deep_qwen3, 4096), BYTES),
    TinyFile(_TEXT, "t5xxl.*", drawn(t5, inner=64, heads=1)),
    TinyFile(_TEXT, "mistral_3_small.*", partial(small_mistral, 40), HEADS_OF_16),
    TinyFile("embeddings", "marigold_v2.*", _encoded),
    TinyFile("vae", "ae", small_ae16),
    TinyFile("vae", "flux2-vae(_small)?|full_encoder_small_decoder", small_flux2_vae),
    TinyFile("vae", r"qwen_image_2\.1_vae.*", small_qwen21_vae),
    TinyFile("vae", "qwen_image_layered_vae", partial(small_wan_vae, colours=4)),
    TinyFile("vae", "(qwen_image_vae|wan_2.1_vae|marigold_v2.*)", small_wan_vae),
    TinyFile("vae", "vae-ft-mse.*", small_ft_mse),
    TinyFile("style_models", "flux1-redux-dev", drawn(redux, 128, 4096)),
    TinyFile("upscale_models", "RealESRGAN_x4plus", esrgan),
    TinyFile("model_patches", "uso-flux1-projector.*", drawn(projector, 16, seen=128)),
    TinyFile("model_patches", "Z-Image-Turbo-Fun-Controlnet.*", drawn(z_image_control)),
    TinyFile("model_patches", "qwen_image_(canny|depth)_diffsynth.*", drawn(qwen_image_blockwise)),
    TinyFile(
        "model_patches", "qwen_image_inpaint_diffsynth.*", drawn(qwen_image_blockwise, channels=17)
    ),
    TinyFile(_LORAS, "(flux1-depth-dev-lora)", lora_for(FLUX, widened="img_in.weight")),
    TinyFile(_LORAS, "(uso-flux1|removal_timestep).*", lora_for(FLUX)),
    TinyFile(_LORAS, "anima-turbo.*", lora_for(small_anima)),
    TinyFile(_LORAS, "Flux_?2.*", lora_for(small_flux2_dev)),
    TinyFile(_LORAS, "krea2.*", lora_for(small_krea2)),
    TinyFile(_LORAS, "pixel_art_style_z_image.*", lora_for(Z_IMAGE)),
    TinyFile(
        _LORAS,
        "((Wuli-)?Qwen-Image-((Edit|2509|2511|2512)-)*(Lightning|Turbo|Relight)|gummycandy_qwen|"
        "illustration.*qwen|qwen-360|qwen_image_union|(?i:qwen.edit|qwen.image.edit)|"
        "marigold_v2|FireRed-Image-Edit-.*Lightning).*",
        lora_for(QWEN_IMAGE),
    ),
)
"""A row for each kind; a file is of the first whose names it has."""


def tiny_file(folder: str, name: str) -> TinyFile | None:
    """Return the kind of a file by its name below a folder of models; None if there is none."""
    stem = name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
    return next(
        (file for file in FILES if file.folder == folder and re.fullmatch(file.names, stem)), None
    )


def unread_family(text: str) -> str:
    """Return the family that is not read here of a file that a text names; empty if it names none.

    Args:
        text: of an error.
    """
    names = re.findall(r"[\w.-]+(?=\.safetensors)", text)
    lacking = [file for file in FILES if file.lacking]
    found = (file.lacking for name in names for file in lacking if re.fullmatch(file.names, name))
    return next(found, "")


def write_tiny(models: Path, folder: str, name: str) -> bool:
    """Write the tiny file of that name below a folder of models; False if there is none."""
    file = tiny_file(folder, name)
    if file is None:
        return False
    path = models / folder / name
    if not path.exists():
        write(path, in_format(file.build(), name), file.metadata)
    return True


def in_format(tensors: Tensors, name: str) -> Tensors:
    """Return a model's tensors in the format that a file's name says."""
    for word, form in _FORMATS.items():
        if word in name:
            return form(tensors)
    return tensors


def _only_blocks(form: Callable[[Tensors], Tensors]) -> Callable[[Tensors], Tensors]:
    """Return the form of the matrices in numbered blocks; published files keep the others."""

    def changed(tensors: Tensors) -> Tensors:
        inside = {key: tensor for key, tensor in tensors.items() if _in_block(key, tensor)}
        return tensors | form(inside)

    return changed


def _in_block(key: str, tensor: torch.Tensor) -> bool:
    matrix = tensor.ndim == 2 and key.endswith(".weight")
    return matrix and bool(re.search(r"\.\d+\.", key)) and not any(n % 16 for n in tensor.shape)


def _cast(tensors: Tensors) -> Tensors:
    return {key: tensor.to(_E4M3) for key, tensor in tensors.items()}


_FORMATS: Mapping[str, Callable[[Tensors], Tensors]] = {
    "int8_convrot": _only_blocks(partial(layers_in, name="int8_convrot")),
    "int8-convrot": _only_blocks(partial(layers_in, name="int8_convrot")),
    "w4a8": _only_blocks(partial(layers_in, name="w4a8")),
    "nvfp4": _only_blocks(partial(layers_in, name="nvfp4")),
    "fp8mixed": _only_blocks(partial(layers_in, name="float8_e4m3fn")),
    "fp8_mixed": _only_blocks(partial(layers_in, name="float8_e4m3fn")),
    "fp8_scaled": _only_blocks(lambda tensors: scaled(tensors)[0]),
    "e4m3fn_scaled": _only_blocks(lambda tensors: scaled(tensors)[0]),
    "fp8": _only_blocks(_cast),
}
"""The format of a model by a word in its file's name; the first that fits."""
