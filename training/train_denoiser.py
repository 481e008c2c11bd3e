"""Stage 2: denoiser and text encoder, by v-prediction on precomputed latents.

Some noisy inputs are oversaturated on purpose, the way strong guidance makes them, with the true
picture as target: so the model pulls such inputs back, and stays usable at high cfg.
"""

import logging
import random
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.captions import describe, training_caption
from training.latents import Pool
from training.networks import LATENT_STD, new_text_encoder, new_unet
from training.sampling import STEPS, Model, signal_levels
from training.storage import Averaged, cosine, load_weights, save_weights
from training.tokenizer import build

log = logging.getLogger(__name__)

TRAIN_STEPS = 7500
BATCH = 64
RATE = 1e-3
EMA = 0.999
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


def train(pool: Pool, name: str = "denoiser") -> Model:
    """Train, or load the finished result."""
    networks = new_model()
    if load_weights(networks, name):
        return as_model(networks)
    generator, rng = torch.Generator().manual_seed(2), random.Random(2)
    optimiser = torch.optim.Adam(networks.parameters(), lr=RATE, betas=(0.9, 0.99))
    average = Averaged(networks, EMA)
    networks["unet"].to(memory_format=torch.channels_last)
    model = as_model(networks)
    for step in range(TRAIN_STEPS):
        rows, *batch = draw(pool, BATCH, generator)
        texts = model.text(captions_for(pool, rows, rng))
        cost = velocity_loss(model, (batch[0], batch[1], batch[2]), texts, generator)
        optimiser.param_groups[0]["lr"] = cosine(step, TRAIN_STEPS, RATE)
        optimiser.zero_grad()
        cost.backward()
        nn.utils.clip_grad_norm_(networks.parameters(), 1.0)
        optimiser.step()
        average.update(step)
        if step % 100 == 0:
            log.info("denoiser step %d loss %.4f", step, cost.item())
        if step % 500 == 499:
            save_weights(average.model, f"{name}-part")
    save_weights(average.model, name)
    return as_model(average.model)  # pyright: ignore[reportArgumentType]
