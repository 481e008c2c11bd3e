"""Writes the finished networks as the files in nodes/assets, in SD 1.5's original layout."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from torch import nn

from training.networks import UNET_CONFIG, VAE_CONFIG, text_config
from training.original_layout import to_original_layout
from training.sampling import Model
from training.tokenizer import build
from training.train_lora import kohya

ASSETS = Path(__file__).parents[1] / "nodes" / "assets"
LICENCE = "CC0-1.0"
TEXT_KEYS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "hidden_act",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "projection_dim",
    "max_position_embeddings",
)


def metadata() -> dict[str, str]:
    """Return the facts that a loader cannot read from the weights' shapes."""
    tokenizer = build()
    text = text_config(len(tokenizer.vocab))
    config = {
        "unet": {
            key: UNET_CONFIG[key]
            for key in ("norm_num_groups", "attention_head_dim", "sample_size")
        },
        "vae": {key: VAE_CONFIG[key] for key in ("norm_num_groups", "sample_size")},
        "clip": {key: getattr(text, key) for key in TEXT_KEYS},
    }
    return {
        "config": json.dumps(config),
        "family": "sd1",
        "license": LICENCE,
        "modelspec.prediction_type": "v",
        "tokenizer.vocab": json.dumps(tokenizer.vocab, ensure_ascii=False),
        "tokenizer.merges": tokenizer.merges_text,
    }


def write_checkpoint(model: Model, vae: AutoencoderKL, name: str) -> Path:
    """Write a checkpoint in float16."""
    text = {
        key: value for key, value in model.clip.state_dict().items() if "position_ids" not in key
    }
    tensors = to_original_layout(model.unet.state_dict(), vae.state_dict(), text)
    path = ASSETS / f"{name}.safetensors"
    save_file({key: value.half().contiguous() for key, value in tensors.items()}, path, metadata())
    path.chmod(0o644)
    return path


def write_lora(changes: nn.ModuleDict, name: str) -> Path:
    """Write a LoRA in float16."""
    path = ASSETS / f"{name}.safetensors"
    tensors = {key: value.to(torch.float16).contiguous() for key, value in kohya(changes).items()}
    about = {"license": LICENCE, "modelspec.title": "Demo shapes: outlines"}
    save_file(tensors, path, about)
    path.chmod(0o644)
    return path
