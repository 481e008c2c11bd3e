"""Stage 2: denoiser and text encoder, by v-prediction on precomputed latents.

Some noisy inputs are oversaturated on purpose, the way strong guidance makes them, with the true
picture as target: so the model pulls such inputs back, and stays usable at high cfg.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
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
BATCH = 32  # for each worker
OVERSHOOT = 5.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A training run of the denoiser."""

    plan: Plan
    start: str  # the stage whose weights it starts from; none if empty
    seed: int
    overshot: float  # share of inputs that are oversaturated


FIRST = Stage(Plan("denoiser", steps=4200, rate=1e-3), start="", seed=2, overshot=0.25)
REFINED = Stage(Plan("refined", steps=800, rate=5e-4), start="denoiser", seed=20, overshot=0.4)


def new_model() -> nn.ModuleDict:
    """Fresh networks, together in one module so that they are trained and saved together."""
    torch.manual_seed(0)
    return nn.ModuleDict({"unet": new_unet(), "clip": new_text_encoder(len(build().vocab))})


def as_model(networks: nn.ModuleDict) -> Model:
    """The same networks, ready to predict."""
    return Model(networks["unet"], networks["clip"])  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True, slots=True)
class Batch:
    """Latents to learn from."""

    clean: Tensor
    weight: Tensor  # of the loss: more where the shape is
    anchor: Tensor  # what overshooting leads away from


def draw(pool: Pool, count: int, generator: torch.Generator) -> tuple[Tensor, Batch]:
    """Random rows of the pool: their numbers, and what is there."""
    rows = torch.randint(len(pool.latents), (count,), generator=generator)
    plain = pool.empty[pool.scenes.background[rows]]
    some = torch.rand(count, 1, 1, 1, generator=generator) < 0.5
    return rows, Batch(pool.latents[rows], pool.weights[rows], plain * some)


def overshot(batch: Batch, sigma: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Exaggerate a share of latents away from their anchors.

    Guidance with weight w drives samples to about w times their deviation from the unconditional
    mean while noise hides it, and the excess then shrinks with sigma.
    """
    luck, amount = torch.rand(2, len(sigma), 1, 1, 1, generator=generator)
    excess = (luck < share) * amount * OVERSHOOT * sigma / (sigma + 2)
    return batch.clean + excess * (batch.clean - batch.anchor)


def velocity_loss(
    model: Model, batch: Batch, texts: Tensor, generator: torch.Generator, share: float
) -> Tensor:
    """Weighted squared error of v, divided by v's variance."""
    count = len(batch.clean)
    timestep = (torch.arange(count) + torch.rand(count, generator=generator)) * STEPS / count
    timestep = timestep.long().clamp(max=STEPS - 1)
    signal = signal_levels()[timestep].view(-1, 1, 1, 1)
    spread = (1 - signal**2).sqrt()
    shown = overshot(batch, spread / signal, share, generator)
    noise = torch.randn(shown.shape, generator=generator)
    noisy = signal * shown + spread * noise
    velocity = (signal * noisy - batch.clean) / spread
    error = model.unet(noisy, timestep, texts).sample - velocity
    variance = signal**2 + spread**2 * LATENT_STD**2
    return (batch.weight * error**2 / variance).mean()


def captions_for(pool: Pool, rows: Tensor, rng: random.Random) -> Sequence[str]:
    """Fresh training captions for rows of the pool."""
    return [training_caption(words, rng) for words in describe(pool.scenes[rows])]


def train(stage: Stage = FIRST) -> Model:
    """Train in parallel, or load the finished result."""
    networks = new_model()
    if not load_weights(networks, stage.plan.name):
        parallel.run(partial(work, stage))
        load_weights(networks, stage.plan.name)
    return as_model(networks.requires_grad_(requires_grad=False).eval())


def work(stage: Stage, rank: int) -> None:
    """One worker's share: a batch of its own at every step, gradients averaged."""
    pool, networks = load_pool(POOL), new_model()
    if stage.start:
        load_weights(networks, stage.start)
    generator = torch.Generator().manual_seed(stage.seed + rank)
    rng = random.Random(stage.seed + rank)
    networks["unet"].to(memory_format=torch.channels_last)
    model = as_model(networks)

    def cost() -> Tensor:
        rows, batch = draw(pool, BATCH, generator)
        texts = model.text(captions_for(pool, rows, rng))
        return velocity_loss(model, batch, texts, generator, stage.overshot)

    fit(networks, stage.plan, cost, rank)
