"""Stage 1: the autoencoder.

Most steps see 32x32 crops around the shape, which are four times cheaper than full pictures and
full of edges; the last steps see whole pictures. The decoder is kept robust by noise on latents.
"""

import logging
import math

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from training.captions import sample_scenes
from training.networks import LATENT_SCALE, LATENT_STD, new_vae
from training.shapes import SIZE, Scenes, coverage, palette
from training.storage import Averaged, cosine, load_weights, save_weights

log = logging.getLogger(__name__)

CROP_STEPS, FULL_STEPS = 4500, 1200
CROP_BATCH, FULL_BATCH = 32, 12
CROP = 32
RATE = 1.5e-3
KL_WEIGHT = 1e-4
LATENT_NOISE = 0.05


def pictures(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Scenes]:
    """Pictures in [-1, 1] and weights that stress edges; a fifth of them outlines.

    A quarter shows a second shape on top, so that the autoencoder is not blind to such pictures.
    """
    scenes = sample_scenes(count, generator)
    colours = palette()[:, :, None, None]
    outlines = count // 5
    cover = torch.cat(
        [coverage(scenes[:outlines], outline=True), coverage(scenes[outlines:])]
    ).unsqueeze(1)
    image = colours[scenes.background] * (1 - cover) + colours[scenes.colour] * cover
    second = sample_scenes(count // 4, generator)
    over = coverage(second).unsqueeze(1)
    image[-len(second) :] = image[-len(second) :] * (1 - over) + colours[second.colour] * over
    return image * 2 - 1, edge_weight(image), scenes


def edge_weight(image: Tensor) -> Tensor:
    """1 on flat areas, up to 4 where neighbouring pixels differ: [batch, 1, height, width]."""
    high = functional.max_pool2d(image, 3, 1, 1)
    low = -functional.max_pool2d(-image, 3, 1, 1)
    return 1 + 3 * (high - low).amax(1, keepdim=True)


def crop(stack: Tensor, scenes: Scenes, generator: torch.Generator) -> Tensor:
    """Cut a 32x32 window near every picture's shape."""
    wander = torch.randint(-10, 11, (2, len(scenes)), generator=generator)
    left = (scenes.x - CROP / 2 + wander[0]).long().clamp(0, SIZE - CROP)
    top = (scenes.y - CROP / 2 + wander[1]).long().clamp(0, SIZE - CROP)
    return torch.stack(
        [
            picture[:, y : y + CROP, x : x + CROP]
            for picture, x, y in zip(stack, left.tolist(), top.tolist(), strict=True)
        ]
    )


def loss(vae: AutoencoderKL, image: Tensor, weight: Tensor, generator: torch.Generator) -> Tensor:
    """Edge-weighted reconstruction error plus a little KL."""
    posterior = vae.encode(image).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=generator)
    spread = (posterior.std**2 + LATENT_NOISE**2).sqrt()
    error = vae.decode(posterior.mean + spread * noise).sample - image
    reconstruction = (weight * (error.abs() + 2 * error**2)).mean()
    kl = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
    return reconstruction + KL_WEIGHT * kl


def normalise(vae: AutoencoderKL, generator: torch.Generator) -> None:
    """Give scaled latents zero mean and LATENT_STD, inside quant_conv and post_quant_conv.

    A standard deviation below 1 makes SD 1.5's noise schedule end in (nearly) pure noise, without
    which 8x8 latents leak the background colour at the first step and prompts are ignored.
    """
    image, _, _ = pictures(512, generator)
    with torch.no_grad():
        mean = vae.encode(image).latent_dist.mean
        shift = mean.mean((0, 2, 3))
        gain = LATENT_STD / LATENT_SCALE / mean.std((0, 2, 3))
        quant, post = vae.quant_conv, vae.post_quant_conv
        assert quant is not None
        assert post is not None
        post.bias += post.weight[:, :, 0, 0] @ shift
        post.weight /= gain.view(1, -1, 1, 1)
        quant.bias[:4] = (quant.bias[:4] - shift) * gain
        quant.weight[:4] *= gain.view(-1, 1, 1, 1)
        quant.bias[4:] += 2 * gain.log()


def train(name: str = "vae") -> AutoencoderKL:
    """Train, or load the finished result."""
    torch.manual_seed(0)
    vae = new_vae()
    if load_weights(vae, name):
        return vae
    generator = torch.Generator().manual_seed(1)
    total = CROP_STEPS + FULL_STEPS
    optimiser = torch.optim.Adam(vae.parameters(), lr=RATE, betas=(0.9, 0.99))
    average = Averaged(vae, 0.998)
    vae.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    for step in range(total):
        whole = step >= CROP_STEPS
        image, weight, scenes = pictures(FULL_BATCH if whole else CROP_BATCH, generator)
        if not whole:
            image, weight = crop(torch.cat([image, weight], 1), scenes, generator).split([3, 1], 1)
        cost = loss(vae, image, weight, generator)
        optimiser.param_groups[0]["lr"] = cosine(step, total, RATE)
        optimiser.zero_grad()
        cost.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        average.update(step)
        if step % 50 == 0 or not math.isfinite(cost.item()):
            log.info("vae step %d loss %.4f", step, cost.item())
        if step % 500 == 499:
            save_weights(average.model, f"{name}-part")
    vae = average.model
    normalise(vae, generator)
    save_weights(vae, name)
    return vae
