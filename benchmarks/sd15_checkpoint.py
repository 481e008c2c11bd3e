"""A Stable Diffusion 1.5 checkpoint of full size with random weights, and diffusers' configs."""

from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import (
    save_file,  # pyright: ignore[reportUnknownVariableType]
)
from torch import Tensor, nn

from training.original_layout import to_original_layout

UNET: dict[str, Any] = {"cross_attention_dim": 768, "attention_head_dim": 8, "sample_size": 64}
VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "sample_size": 512,
}
TEXT: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "projection_dim": 768,
}


def networks() -> tuple[Any, Any, Any]:
    """The U-Net, the VAE and the text encoder, without weights."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    build_text = cast("Any", CLIPTextModel)
    with torch.device("meta"):
        unet, vae = UNet2DConditionModel(**UNET), AutoencoderKL(**VAE)
        return unet, vae, build_text(CLIPTextConfig(**TEXT))


def write_checkpoint(path: Path, dtype: torch.dtype = torch.bfloat16) -> int:
    """Write the file in the original layout; returns its bytes."""
    draw = torch.Generator().manual_seed(0)

    def drawn(module: nn.Module) -> dict[str, Tensor]:
        return {
            key: torch.empty(tensor.shape, dtype=dtype).normal_(0.0, 0.02, generator=draw)
            for key, tensor in module.state_dict().items()
        }

    unet, vae, text = networks()
    save_file(to_original_layout(drawn(unet), drawn(vae), drawn(text)), path)
    return path.stat().st_size


def write_configs(folder: Path) -> None:
    """Write the folder of configurations that `from_single_file` wants, by diffusers' classes.

    The tokenizer has two words, so that reading it costs nothing.
    """
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (
        StableDiffusionPipeline,
    )
    from diffusers.schedulers.scheduling_pndm import PNDMScheduler
    from transformers import CLIPTokenizer

    unet, vae, text = networks()
    tokenize, pipeline = cast("Any", CLIPTokenizer), cast("Any", StableDiffusionPipeline)
    tokenizer = tokenize(vocab={"<|startoftext|>": 0, "<|endoftext|>": 1}, merges=[])
    scheduler = cast("Any", PNDMScheduler)(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
    )
    unet.save_config(folder / "unet")
    vae.save_config(folder / "vae")
    text.config.save_pretrained(folder / "text_encoder")
    tokenizer.save_pretrained(folder / "tokenizer")
    scheduler.save_pretrained(folder / "scheduler")
    parts = {"unet": unet, "vae": vae, "text_encoder": text, "tokenizer": tokenizer}
    absent = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pipeline(**parts, scheduler=scheduler, **absent).save_config(folder)
