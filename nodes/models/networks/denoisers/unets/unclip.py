"""Image conditioning of unCLIP models, which read a vision encoder's vectors.

Noise is added to a vector, so that less of the image is copied; the model also reads its level
(unCLIP: Ramesh et al. 2022, arXiv:2204.06125; the noise is Stability AI's for Stable unCLIP,
https://github.com/Stability-AI/stablediffusion, MIT).
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from nodes.models.families.base.spec import UnclipRules
from nodes.models.networks.base.errors import VisionEncoderMismatchError, WrongNetworkError
from nodes.sampling.conditioning.cond import Cond

VECTOR = "unclip_vector"
"""The name of [1, 2 * width] in `Cond.extras`: the image's vector, and its noise level."""
_LEVELS = 1000
_APART = 10
"""The distance of the seed from that of the latent's noise."""


def with_unclip_vector(cond: Cond, rules: UnclipRules | None, seed: int) -> Cond:
    """Return a condition with its images as the model reads them; zeros if it has none.

    Args:
        cond: as nodes made it.
        rules: of the model; None if it reads no images.
        seed: of the run, for the noise on the images.

    Raises:
        WrongNetworkError: it has images, and the model reads none.
        VisionEncoderMismatchError: another vision encoder saw them than the model knows.
    """
    if rules is None:
        if cond.image_prompts:
            raise WrongNetworkError(
                code="no_picture_model",
                what="unCLIPConditioning",
                wanted="SDXL and unCLIP checkpoints",
            )
        return cond
    if not cond.image_prompts:
        none = {} if rules.pooled else {VECTOR: torch.zeros(1, 2 * rules.width)}
        return replace(cond, extras={**cond.extras, **none})
    vector = _vector(cond, rules, seed)
    if rules.pooled:
        return replace(cond, pooled=vector[:, : rules.width])
    return replace(cond, extras={**cond.extras, VECTOR: vector})


def _vector(cond: Cond, rules: UnclipRules, seed: int) -> Tensor:
    """Return the sum of the images' vectors times their strengths: [1, 2 * width]."""
    draw = torch.Generator().manual_seed((seed - _APART) % 2**63)
    found: list[Tensor] = []
    for prompt in cond.image_prompts:
        if prompt.embeds.shape[1] != rules.width:
            raise VisionEncoderMismatchError(
                code="seen_width",
                reads=f"this model reads {rules.width} numbers of an image",
                found=f"it gives {prompt.embeds.shape[1]}",
            )
        each = (_add_noise(one[None], rules, prompt.noise, draw) for one in prompt.embeds)
        found.extend(prompt.strength * one for one in each)
    total = torch.stack(found).sum(dim=0)
    if len(found) > 1 and not rules.pooled:
        return _add_noise(total[:, : rules.width], rules, rules.merging, draw)
    return total


def _add_noise(embeds: Tensor, rules: UnclipRules, noise: float, draw: torch.Generator) -> Tensor:
    """Return a vector, [1, width], with noise, followed by the embedding of the noise's level."""
    level = round((_LEVELS - 1) * noise)
    mean, deviation = embeds.new_tensor(rules.mean), embeds.new_tensor(rules.deviation)
    alpha_bar, embedding = _alpha_bar(level), _level_embedding(level, rules.width).to(embeds)
    drawn = torch.randn(embeds.shape, generator=draw).to(embeds.device)
    scaled = math.sqrt(alpha_bar) * (embeds - mean) / deviation + math.sqrt(1 - alpha_bar) * drawn
    return torch.cat([scaled * deviation + mean, embedding], dim=1)


def _alpha_bar(level: int) -> float:
    """Return the signal's share of the variance by the cosine schedule.

    Nichol & Dhariwal 2021, arXiv:2102.09672, eq. 17.
    """

    def at(step: int) -> float:
        return math.cos((step / _LEVELS + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = (min(1 - at(step + 1) / at(step), 0.999) for step in range(level + 1))
    return math.prod(1 - beta for beta in betas)


def _level_embedding(level: int, width: int) -> Tensor:
    """Return the sinusoidal embedding of a level, cosines first: [1, width]."""
    half = width // 2
    turns = level * torch.exp(-math.log(10000) * torch.arange(half) / half)
    return torch.cat([turns.cos(), turns.sin()])[None]
