"""The pool of pictures the denoiser learns from, encoded once: encoding is the dear part."""

from dataclasses import dataclass, fields

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from training.captions import sample_scenes
from training.networks import LATENT_SCALE
from training.shapes import COLOURS, SIZE, Scenes, coverage, palette, render
from training.storage import RUNS

FOREGROUND_WEIGHT = 4.0


@dataclass(frozen=True, slots=True)
class Pool:
    """Scaled latents of many scenes."""

    scenes: Scenes
    latents: Tensor  # [n, 4, 8, 8]
    weights: Tensor  # [n, 1, 8, 8]: more where the shape is; mean 1
    empty: Tensor  # [10, 4, 8, 8]: plain backgrounds


@torch.no_grad()
def encode(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """Pictures in [0, 1] to scaled latents."""
    return vae.encode(images * 2 - 1).latent_dist.mean * LATENT_SCALE


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Scaled latents to pictures in [0, 1]."""
    parts = latents.split(64)
    images = [vae.decode(part / LATENT_SCALE).sample for part in parts]
    return (torch.cat(images) / 2 + 0.5).clamp(0, 1)


def foreground_weights(scenes: Scenes) -> Tensor:
    """Loss weights that stress the shape, [batch, 1, 8, 8], mean 1."""
    inside = functional.max_pool2d(coverage(scenes).unsqueeze(1), 8)
    weight = 1 + FOREGROUND_WEIGHT * inside
    return weight / weight.mean((1, 2, 3), keepdim=True)


def make_pool(
    vae: AutoencoderKL, count: int, *, seed: int, name: str, outline: bool = False
) -> Pool:
    """Encode random scenes, or read what an earlier run encoded."""
    path = RUNS / f"{name}.safetensors"
    if not path.exists():
        generator = torch.Generator().manual_seed(seed)
        scenes = sample_scenes(count, generator)
        parts = [scenes[start : start + 64] for start in range(0, count, 64)]
        stored = {field.name: getattr(scenes, field.name).clone() for field in fields(Scenes)}
        stored["latents"] = torch.cat(
            [encode(vae, render(part, outline=outline)) for part in parts]
        )
        stored["weights"] = torch.cat([foreground_weights(part) for part in parts])
        plain = palette()[:, :, None, None].expand(len(COLOURS), 3, SIZE, SIZE)
        stored["empty"] = encode(vae, plain)
        save_file({key: value.contiguous() for key, value in stored.items()}, path)
    return load_pool(name)


def load_pool(name: str) -> Pool:
    """Read what `make_pool` stored."""
    stored = load_file(RUNS / f"{name}.safetensors")
    scenes = Scenes(**{field.name: stored[field.name] for field in fields(Scenes)})
    return Pool(scenes, stored["latents"], stored["weights"], stored["empty"])
