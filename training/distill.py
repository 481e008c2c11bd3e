"""Stage 4: the one-step model, distilled from the denoiser.

The teacher follows its deterministic path from noise to latents; the student, which starts as a
copy of the teacher, learns to jump to the path's end from the highest noise level in one call.
Luhman and Luhman 2021, https://arxiv.org/abs/2101.02388.
"""

import random
from functools import partial

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from training import parallel, train_denoiser
from training.captions import caption, describe, training_caption
from training.fit import Plan, fit
from training.latents import load_pool
from training.sampling import STEPS, Model, all_sigmas, euler
from training.storage import RUNS, load_weights
from training.tokenizer import build
from training.train_denoiser import POOL, as_model, new_model

PAIRS = 4096  # for each worker
PAIR_BATCH = 128
TEACHER_STEPS = 6
TEACHER_CFG = 2.0
TRAIN_STEPS = 900
BATCH = 32  # for each worker
RATE = 5e-4


def make_pairs(teacher: Model, name: str, seed: int) -> dict[str, Tensor]:
    """Noise, token numbers, loss weights and where the teacher ends up; stored under a name."""
    path = RUNS / f"{name}.safetensors"
    if not path.exists():
        pool, rng = load_pool(POOL), random.Random(seed)
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randint(len(pool.latents), (PAIRS,), generator=generator)
        words = describe(pool.scenes[rows])
        texts = [training_caption(each, rng) or caption(each) for each in words]
        noise = torch.randn(PAIRS, *pool.latents.shape[1:], generator=generator)
        ends = [
            euler(teacher, texts[start : start + PAIR_BATCH], part, TEACHER_CFG, TEACHER_STEPS)
            for start, part in zip(
                range(0, PAIRS, PAIR_BATCH), noise.split(PAIR_BATCH), strict=True
            )
        ]
        tokens, weights = build().encode(texts), pool.weights[rows].contiguous()
        stored = {"noise": noise, "tokens": tokens, "weights": weights, "ends": torch.cat(ends)}
        save_file({key: value.contiguous() for key, value in stored.items()}, path)
    return load_file(path)


def one_step(model: Model, noise: Tensor, text: Tensor) -> Tensor:
    """Jump from pure noise to latents, as a one-step sampler does."""
    start = noise * (1 + all_sigmas()[-1] ** 2).sqrt()
    return model.clean(start, torch.full((len(noise),), STEPS - 1.0), text)


def train(name: str = "turbo") -> Model:
    """Distil in parallel, or load the finished result."""
    networks = new_model()
    if not load_weights(networks, name):
        parallel.run(partial(work, name))
        load_weights(networks, name)
    return as_model(networks.requires_grad_(requires_grad=False).eval())


def work(name: str, rank: int) -> None:
    """One worker's share: its own pairs, gradients averaged."""
    pairs = make_pairs(train_denoiser.train(), f"pairs-{rank}", seed=100 + rank)
    networks = new_model()
    load_weights(networks, "denoiser")
    networks["unet"].to(memory_format=torch.channels_last)
    model = as_model(networks)
    generator = torch.Generator().manual_seed(3 + rank)

    def cost() -> Tensor:
        rows = torch.randint(PAIRS, (BATCH,), generator=generator)
        text = model.clip(input_ids=pairs["tokens"][rows]).last_hidden_state
        error = one_step(model, pairs["noise"][rows], text) - pairs["ends"][rows]
        return (pairs["weights"][rows] * error**2).mean() / 0.16

    fit(networks, Plan(name, TRAIN_STEPS, RATE), cost, rank)
