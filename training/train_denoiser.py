"""Stage 2: denoiser and text encoder, by v-prediction on precomputed latents.

Some noisy inputs are oversaturated on purpose, the way strong guidance makes them, with the true
picture as target: so the model pulls such inputs back, and stays usable at high cfg.
"""

import random
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from training import parallel
from training.captions import describe, training_caption
from training.fit import Plan, fit
from training.latents import Pool, load_pool
from training.networks import LATENT_STD, new_text_encoder, new_unet
from training.sampling import STEPS, Model, signal_levels
from training.storage import load_weights
from training.tokenizer import build

POOL = "pool"
TRAIN_STEPS = 4200
BATCH = 32  # for each worker
RATE = 1e-3
OVERSHOOT_SHARE = 0.25
OVERSHOOT = 5.0


def new_model() -> nn.ModuleDict:
    """Fresh networks, together in one module so that they are trained and saved together."""
    torch.manual_seed(0)
    return nn.ModuleDict({"unet": new_unet(), "clip": new_text_encoder(len(build().vocab))})


def as_model(networks: nn.ModuleDict) -> Model:
    """The same networks, ready to predict."""
    return Model(networks["unet"], networks["clip"])  # pyright: ignore[reportArgumentType]


def overshot(clean: Tensor, anchor: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
    """Exaggerate a share of latents away from an anchor.

    Guidance with weight w drives samples to about w times their deviation from the unconditional
    mean while noise hides it, and the excess then shrinks with sigma.
    """
    luck, amount = torch.rand(2, len(clean), 1, 1, 1, generator=generator)
    excess = (luck < OVERSHOOT_SHARE) * amount * OVERSHOOT * sigma / (sigma + 2)
    return clean + excess * (clean - anchor)


def velocity_loss(
    model: Model, batch: tuple[Tensor, Tensor, Tensor], texts: Tensor, generator: torch.Generator
) -> Tensor:
    """Weighted squared error of v, divided by v's variance; batch: latents, weights, anchors."""
    clean, weight, anchor = batch
    count = len(clean)
    timestep = (torch.arange(count) + torch.rand(count, generator=generator)) * STEPS / count
    timestep = timestep.long().clamp(max=STEPS - 1)
    signal = signal_levels()[timestep].view(-1, 1, 1, 1)
    spread = (1 - signal**2).sqrt()
    shown = overshot(clean, anchor, spread / signal, generator)
    noise = torch.randn(clean.shape, generator=generator)
    noisy = signal * shown + spread * noise
    velocity = (signal * noisy - clean) / spread
    error = model.unet(noisy, timestep, texts).sample - velocity
    variance = signal**2 + spread**2 * LATENT_STD**2
    return (weight * error**2 / variance).mean()


def draw(
    pool: Pool, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random rows of the pool: their numbers, latents, weights and overshoot anchors."""
    rows = torch.randint(len(pool.latents), (count,), generator=generator)
    plain = pool.empty[pool.scenes.background[rows]]
    some = torch.rand(count, 1, 1, 1, generator=generator) < 0.5
    return rows, pool.latents[rows], pool.weights[rows], plain * some


def captions_for(pool: Pool, rows: Tensor, rng: random.Random) -> Sequence[str]:
    """Fresh training captions for rows of the pool."""
    return [training_caption(words, rng) for words in describe(pool.scenes[rows])]


def train(name: str = "denoiser") -> Model:
    """Train in parallel, or load the finished result."""
    networks = new_model()
    if not load_weights(networks, name):
        parallel.run(partial(work, name))
        load_weights(networks, name)
    return as_model(networks.requires_grad_(requires_grad=False).eval())


def work(name: str, rank: int) -> None:
    """One worker's share: a batch of its own at every step, gradients averaged."""
    pool, networks = load_pool(POOL), new_model()
    generator, rng = torch.Generator().manual_seed(2 + rank), random.Random(2 + rank)
    networks["unet"].to(memory_format=torch.channels_last)
    model = as_model(networks)

    def cost() -> Tensor:
        rows, *batch = draw(pool, BATCH, generator)
        texts = model.text(captions_for(pool, rows, rng))
        return velocity_loss(model, (batch[0], batch[1], batch[2]), texts, generator)

    fit(networks, Plan(name, TRAIN_STEPS, RATE), cost, rank)
