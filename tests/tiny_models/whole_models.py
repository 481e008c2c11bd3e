"""All files of a model, tiny, with the names that published workflows have for them."""

from collections.abc import Callable
from pathlib import Path

import torch

from tests.tiny_models.checkpoints import LETTERS, small_ae16, small_lotus, small_t5, write
from tests.tiny_models.flux2_vae import small_flux2_vae
from tests.tiny_models.language_models import (
    BYTES,
    HEADS_OF_16,
    SEEING,
    deep_qwen3,
    deep_qwen3_vl,
    qwen3,
    qwen3_vision,
    small_gemma2,
    small_mistral,
    small_qwen2_5_vl,
    small_qwen3,
    small_qwen3_vl,
)
from tests.tiny_models.qwen21_vae import small_qwen21_vae
from tests.tiny_models.random_weights import Draw, Tensors, vae
from tests.tiny_models.transformer_networks import (
    anima,
    chroma,
    flux2,
    flux3,
    krea2,
    longcat_image,
    lumina2,
    qwen_image,
    qwen_image21,
    z_image,
)
from tests.tiny_models.wan_vae import small_wan_vae


def whole(name: str, build: Callable[[], Tensors]) -> Callable[[Path], None]:
    """Return the function that writes a checkpoint of this name below a folder for models."""

    def write_checkpoint(models: Path) -> None:
        write(models / f"checkpoints/{name}.safetensors", build(), LETTERS)

    return write_checkpoint


def small_klein() -> Tensors:
    """The transformer of FLUX.2 klein 4B alone, for texts of Qwen3 4B."""
    draw = Draw(31)
    flux2(draw, text=3 * 2560)
    return draw.tensors


def tiny_klein(models: Path) -> None:
    """Write FLUX.2 klein 4B's three files below a folder for models."""
    write(models / "diffusion_models/flux-2-klein-4b.safetensors", small_klein())
    write(models / "text_encoders/qwen_3_4b.safetensors", deep_qwen3(), BYTES)
    write(models / "vae/flux2-vae.safetensors", small_flux2_vae())


def small_flux2_dev() -> Tensors:
    """The transformer of FLUX.2 dev alone, for texts of Mistral Small 3."""
    draw = Draw(70)
    flux2(draw, text=3 * 5120, guidance=True)
    return draw.tensors


def tiny_flux2_dev(models: Path) -> None:
    """Write FLUX.2 dev's three files below a folder for models."""
    write(models / "diffusion_models/flux2_dev_fp8mixed.safetensors", small_flux2_dev())
    text = models / "text_encoders/mistral_3_small_flux2_fp8.safetensors"
    write(text, small_mistral(31), HEADS_OF_16)
    write(models / "vae/flux2-vae.safetensors", small_flux2_vae())


def small_chroma() -> Tensors:
    """The transformer alone, for texts of T5 XXL."""
    draw = Draw(28)
    chroma(draw, text=4096)
    return draw.tensors


def tiny_chroma(models: Path) -> None:
    """Write Chroma's three files below a folder for models."""
    write(models / "diffusion_models/Chroma1-HD-fp8mixed.safetensors", small_chroma())
    write(models / "text_encoders/t5xxl_fp8_e4m3fn_scaled.safetensors", small_t5())
    write(models / "vae/ae.safetensors", small_ae16())


def small_z_image() -> Tensors:
    """The transformer alone, for texts of Qwen3 4B, with the unused weight of published files."""
    draw = Draw(12)
    z_image(draw, text=2560)
    draw.scale("norm_final.weight", 64)
    return draw.tensors


def tiny_z_image(models: Path) -> None:
    """Write Z-Image Turbo's three files below a folder for models."""
    write(models / "diffusion_models/z_image_turbo_bf16.safetensors", small_z_image())
    write(models / "text_encoders/qwen_3_4b.safetensors", small_qwen3(), BYTES)
    write(models / "vae/ae.safetensors", small_ae16())


def small_qwen_image() -> Tensors:
    """The transformer alone, for texts of Qwen2.5-VL 7B."""
    draw = Draw(16)
    qwen_image(draw, text=3584)
    return draw.tensors


def tiny_qwen_image(models: Path) -> None:
    """Write Qwen-Image 2512's three files below a folder for models."""
    write(models / "diffusion_models/qwen_image_2512_fp8_e4m3fn.safetensors", small_qwen_image())
    text = models / "text_encoders/qwen_2.5_vl_7b_fp8_scaled.safetensors"
    write(text, small_qwen2_5_vl(), SEEING)
    write(models / "vae/qwen_image_vae.safetensors", small_wan_vae())


def tiny_qwen_image_edit(models: Path) -> None:
    """Write Qwen-Image-Edit 2511's three files below a folder for models."""
    transformer = models / "diffusion_models/qwen_image_edit_2511_fp8mixed.safetensors"
    write(transformer, small_qwen_image() | {"__index_timestep_zero__": torch.zeros(0)})
    text = models / "text_encoders/qwen_2.5_vl_7b_fp8_scaled.safetensors"
    write(text, small_qwen2_5_vl(), SEEING)
    write(models / "vae/qwen_image_vae.safetensors", small_wan_vae())


def small_qwen_image_layered() -> Tensors:
    """The transformer alone, which is told the kind of its pictures."""
    draw = Draw(37)
    qwen_image(draw, text=3584)
    draw.weight("time_text_embed.addition_t_embedding.weight", 2, 64)
    return draw.tensors


def tiny_qwen_image_layered(models: Path) -> None:
    """Write Qwen-Image-Layered's three files below a folder for models."""
    transformer = models / "diffusion_models/qwen_image_layered_bf16.safetensors"
    write(transformer, small_qwen_image_layered())
    text = models / "text_encoders/qwen_2.5_vl_7b_fp8_scaled.safetensors"
    write(text, small_qwen2_5_vl(), SEEING)
    write(models / "vae/qwen_image_layered_vae.safetensors", small_wan_vae(colours=4))


def small_anima() -> Tensors:
    """The transformer and its conditioner, for texts of Qwen3 0.6B, as published."""
    draw = Draw(17)
    anima(draw, prefix="net.")
    return draw.tensors


def tiny_anima(models: Path) -> None:
    """Write Anima's three files below a folder for models."""
    write(models / "diffusion_models/anima-base-v1.0.safetensors", small_anima())
    write(models / "text_encoders/qwen_3_06b_base.safetensors", small_qwen3(1024), BYTES)
    write(models / "vae/qwen_image_vae.safetensors", small_wan_vae())


def small_qwen_image21() -> Tensors:
    """The transformer alone, for texts of Qwen3-VL 8B."""
    draw = Draw(18)
    qwen_image21(draw, text=4096)
    return draw.tensors


def small_qwen3_vl_8b() -> Tensors:
    """Qwen3-VL 8B of full width with three layers and its eyes, for `SEEING`."""
    draw = Draw(24)
    qwen3(draw, width=4096, words=288)
    qwen3_vision(draw, width=4096)
    return draw.tensors


def tiny_qwen_image21(models: Path) -> None:
    """Write Qwen-Image 2.1's three files below a folder for models."""
    write(models / "diffusion_models/qwen_image_2.1_bf16.safetensors", small_qwen_image21())
    text = models / "text_encoders/qwen3vl_8b_int8_convrot.safetensors"
    write(text, small_qwen3_vl_8b(), SEEING)
    write(models / "vae/qwen_image_2.1_vae_bf16.safetensors", small_qwen21_vae())


def small_flux3(*, jumps: bool = False) -> Tensors:
    """The transformer alone, for eight states of Qwen3-VL 4B; distilled with `jumps`."""
    draw = Draw(26)
    flux3(draw, text=8 * 2560, jumps=jumps)
    return draw.tensors


def tiny_flux3(models: Path) -> None:
    """Write FLUX.3 Image Klein's files below a folder for models, base and distilled."""
    folder = models / "diffusion_models"
    write(folder / "flux3-image-klein-base-int8-convrot.safetensors", small_flux3())
    write(folder / "flux3-image-klein-int8-convrot.safetensors", small_flux3(jumps=True))
    text = models / "text_encoders/qwen3vl_4b_int8_convrot.safetensors"
    write(text, deep_qwen3_vl(), BYTES)
    write(models / "vae/flux2-vae.safetensors", small_flux2_vae())


def small_lumina2() -> Tensors:
    """The transformer alone, for texts of Gemma 2 2B, with the unused weight of published files."""
    draw = Draw(19)
    lumina2(draw, text=2304)
    draw.scale("norm_final.weight", 72)
    return draw.tensors


def whole_lumina2() -> Tensors:
    """A checkpoint with all parts, as the editor's template for NetaYume has one."""
    text = {
        "spiece_model" if key == "spiece_model" else f"gemma2_2b.transformer.{key}": tensor
        for key, tensor in small_gemma2().items()
    }
    return {
        **{f"model.diffusion_model.{key}": tensor for key, tensor in small_lumina2().items()},
        **{f"text_encoders.{key}": tensor for key, tensor in text.items()},
        "text_encoders.gemma2_2b.logit_scale": torch.tensor(4.6),
        **{f"vae.{key}": tensor for key, tensor in small_ae16().items()},
    }


def tiny_lumina2(models: Path) -> None:
    """Write NetaYume's checkpoint, and Lumina 2's three files, below a folder for models."""
    write(models / "checkpoints/NetaYumev35_pretrained_all_in_one.safetensors", whole_lumina2())
    write(models / "diffusion_models/lumina_2_model_bf16.safetensors", small_lumina2())
    write(models / "text_encoders/gemma_2_2b_fp16.safetensors", small_gemma2())
    write(models / "vae/ae.safetensors", small_ae16())


def small_krea2() -> Tensors:
    """The transformer alone, for texts of Qwen3-VL 4B: 20 M parameters, to fuse them with."""
    draw = Draw(24)
    krea2(draw, text=2560, text_head=128, refiners=0)
    return draw.tensors


def tiny_krea2(models: Path) -> None:
    """Write Krea 2 Turbo's three files below a folder for models."""
    write(models / "diffusion_models/krea2_turbo_fp8_scaled.safetensors", small_krea2())
    text = models / "text_encoders/qwen3vl_4b_fp8_scaled.safetensors"
    write(text, small_qwen3_vl(layers=36, inner=16), BYTES)
    write(models / "vae/qwen_image_vae.safetensors", small_wan_vae())


def small_longcat_image() -> Tensors:
    """The transformer alone, for texts of Qwen2.5-VL 7B."""
    draw = Draw(20)
    longcat_image(draw, text=3584)
    return draw.tensors


def tiny_longcat_image(models: Path) -> None:
    """Write LongCat-Image's three files below a folder for models."""
    write(models / "diffusion_models/longcat_image_bf16.safetensors", small_longcat_image())
    text = models / "text_encoders/qwen_2.5_vl_7b_fp8_scaled.safetensors"
    write(text, small_qwen2_5_vl(), SEEING)
    write(models / "vae/ae.safetensors", small_ae16())


def small_ft_mse() -> Tensors:
    """A VAE of Stable Diffusion in a file of its own, as fine-tuned ones are published."""
    draw = Draw(70)
    vae(draw, prefix="", multipliers=(1, 1, 1, 1))
    return draw.tensors


def tiny_lotus(models: Path) -> None:
    """Write Lotus' U-Net, for depth, and its VAE below a folder for models."""
    write(models / "diffusion_models/lotus-depth-d-v1-1.safetensors", small_lotus())
    write(models / "vae/vae-ft-mse-840000-ema-pruned.safetensors", small_ft_mse())
