"""Stage 3: the decoder alone, longer, on whole pictures and on slightly wrong latents.

The encoder stays as it is, so latents keep their meaning; what samplers produce is never exact,
and the decoder learns to draw clean shapes from it all the same.
"""

from functools import partial

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from training import parallel
from training.fit import Plan, fit
from training.latents import Pool, load_pool
from training.networks import LATENT_SCALE, new_vae
from training.shapes import render
from training.storage import load_weights
from training.train_denoiser import POOL
from training.train_lora import POOL as OUTLINES
from training.train_vae import edge_weight

TRAIN_STEPS = 400
BATCH, OUTLINE_BATCH = 10, 2  # for each worker
RATE = 1e-3
LATENT_NOISE = 0.06  # at most, of scaled latents


def decoder_of(vae: AutoencoderKL) -> nn.ModuleDict:
    """The parts that turn latents into pictures."""
    return nn.ModuleDict({"post_quant_conv": vae.post_quant_conv, "decoder": vae.decoder})


def train(name: str = "decoder") -> AutoencoderKL:
    """Train in parallel, or load the finished result: the whole autoencoder."""
    vae = new_vae()
    load_weights(vae, "vae")
    if not load_weights(decoder_of(vae), name):
        parallel.run(partial(work, name))
        load_weights(decoder_of(vae), name)
    return vae.requires_grad_(requires_grad=False).eval()


def examples(
    pool: Pool, count: int, generator: torch.Generator, *, outline: bool
) -> tuple[Tensor, Tensor]:
    """Latents with a little noise, and the pictures they stand for in [-1, 1]."""
    rows = torch.randint(len(pool.latents), (count,), generator=generator)
    amount = torch.rand(count, 1, 1, 1, generator=generator) * LATENT_NOISE
    noise = torch.randn(count, *pool.latents.shape[1:], generator=generator)
    return pool.latents[rows] + amount * noise, render(pool.scenes[rows], outline=outline) * 2 - 1


def work(name: str, rank: int) -> None:
    """One worker's share."""
    vae = new_vae()
    load_weights(vae, "vae")
    filled, outlines = load_pool(POOL), load_pool(OUTLINES)
    generator = torch.Generator().manual_seed(6 + rank)

    def cost() -> Tensor:
        parts = (
            examples(filled, BATCH, generator, outline=False),
            examples(outlines, OUTLINE_BATCH, generator, outline=True),
        )
        latents, images = (torch.cat(pair) for pair in zip(*parts, strict=True))
        error = vae.decode(latents / LATENT_SCALE).sample - images
        return (edge_weight(images) * (error.abs() + 2 * error**2)).mean()

    fit(decoder_of(vae), Plan(name, TRAIN_STEPS, RATE, memory=0.995), cost, rank)
