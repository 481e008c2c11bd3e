"""All files of a model, tiny, with the names that published workflows have for them."""

from pathlib import Path

from tests.tiny_models.checkpoints import small_ae16, write
from tests.tiny_models.language_models import BYTES, small_qwen3
from tests.tiny_models.random_weights import Draw, Tensors
from tests.tiny_models.transformer_networks import z_image


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
