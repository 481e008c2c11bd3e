"""SD 1.5's noise schedule and the little sampling that training itself needs.

Evaluation goes through the real nodes; this is for on-policy training, distillation and progress.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from training.tokenizer import build

STEPS = 1000


def signal_levels() -> Tensor:
    """sqrt(alpha bar) [1000] of SD 1.5: betas linear in their square roots."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, STEPS, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0).sqrt().float()


def all_sigmas() -> Tensor:
    """Noise relative to signal, [1000], rising: sigma = sqrt(1 - alpha bar) / sqrt(alpha bar)."""
    signal = signal_levels()
    return (1 - signal**2).sqrt() / signal


def normal_timesteps(count: int) -> Tensor:
    """The "normal" schedule: evenly spaced timesteps from the last to the first."""
    return torch.linspace(STEPS - 1, 0, count)


def sigmas_at(timesteps: Tensor) -> Tensor:
    """Sigmas at fractional timesteps, interpolated in the logarithm."""
    logs = all_sigmas().log()
    low = timesteps.long().clamp(0, STEPS - 2)
    return torch.lerp(logs[low], logs[low + 1], timesteps - low).exp()


@dataclass(frozen=True, slots=True)
class Model:
    """The denoiser with its text encoder."""

    unet: UNet2DConditionModel
    clip: CLIPTextModel

    def text(self, captions: Sequence[str]) -> Tensor:
        """Encode captions: [batch, 32, 64]."""
        return self.clip(input_ids=build().encode(list(captions))).last_hidden_state

    def clean(self, noisy: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        """Predict x0 from x = x0 + sigma noise at timesteps [batch] (v-prediction).

        With variance-preserving a x, v = a noise - s x0 gives x0 = a (a x) - s v.
        Salimans and Ho 2022, https://arxiv.org/abs/2202.00512, appendix D.
        """
        signal = (1 + sigmas_at(timestep) ** 2).rsqrt().view(-1, 1, 1, 1)
        scaled = signal * noisy
        velocity = self.unet(scaled, timestep, text).sample
        return signal * scaled - (1 - signal**2).sqrt() * velocity

    def guided(
        self, noisy: Tensor, timestep: Tensor, texts: tuple[Tensor, Tensor], cfg: Tensor
    ) -> Tensor:
        """Classifier-free guidance; texts: with and without caption; cfg [batch]."""
        if bool((cfg == 1).all()):
            return self.clean(noisy, timestep, texts[0])
        both = self.clean(noisy.repeat(2, 1, 1, 1), timestep.repeat(2), torch.cat(texts))
        wanted, empty = both.chunk(2)
        return empty + cfg.view(-1, 1, 1, 1) * (wanted - empty)


@torch.no_grad()
def euler(
    model: Model, captions: Sequence[str], noise: Tensor, cfg: float = 2.0, steps: int = 20
) -> Tensor:
    """Euler's method on the "normal" schedule, from pure noise to latents (scaled)."""
    texts = model.text(captions), model.text([""]).expand(len(captions), -1, -1)
    timesteps = normal_timesteps(steps)
    sigmas = torch.cat([sigmas_at(timesteps), torch.zeros(1)])
    weights = torch.full((len(captions),), cfg)
    x = noise * (1 + sigmas[0] ** 2).sqrt()
    for index, timestep in enumerate(timesteps):
        clean = model.guided(x, timestep.expand(len(captions)), texts, weights)
        x = clean + (x - clean) * (sigmas[index + 1] / sigmas[index])
    return x
