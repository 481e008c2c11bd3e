"""Stage 5: a LoRA that draws outlines instead of filled shapes.

Low-rank changes of the denoiser's weights, Hu et al. 2021, https://arxiv.org/abs/2106.09685;
convolutions are changed as LoCon does (arXiv:2309.14859). Key names are kohya's.
"""

import random
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from training import parallel
from training.fit import Plan, fit
from training.latents import load_pool
from training.sampling import Model
from training.storage import load_weights
from training.train_denoiser import REFINED, as_model, captions_for, draw, new_model, velocity_loss

POOL = "pool-outline"
RANK = 4
TRAIN_STEPS = 800
BATCH = 32  # for each worker
RATE = 3e-3
OVERSHOT = 0.25  # share of inputs that are oversaturated
LEFT_ALONE = ("conv_in", "conv_out", "time_emb", "downsamplers", "upsamplers", "conv_shortcut")


class LowRank(nn.Module):
    """Adds up x down to a weight."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(RANK, *weight.shape[1:]) / RANK**0.5 / 4)
        self.up = nn.Parameter(torch.zeros(len(weight), RANK, *[1] * (weight.dim() - 2)))

    def forward(self, weight: Tensor) -> Tensor:
        """The changed weight."""
        return weight + (self.up.flatten(1) @ self.down.flatten(1)).view(weight.shape)


def adapt(unet: nn.Module) -> nn.ModuleDict:
    """Put low-rank changes on a network's weights; all else is frozen.

    Returns:
        The changes by kohya's names of the modules they belong to.
    """
    unet.requires_grad_(requires_grad=False)
    changes = nn.ModuleDict()
    for name, module in list(unet.named_modules()):
        fits = isinstance(module, nn.Linear | nn.Conv2d)
        if fits and not any(part in name for part in LEFT_ALONE):
            change = LowRank(module.weight)
            parametrize.register_parametrization(module, "weight", change, unsafe=True)
            changes["lora_unet_" + name.replace(".", "_")] = change
    return changes


def kohya(changes: nn.ModuleDict) -> dict[str, Tensor]:
    """The tensors of a LoRA file; alpha equals the rank, so they count as they are."""
    tensors: dict[str, Tensor] = {}
    for name, change in changes.items():
        state = change.state_dict()
        tensors[f"{name}.lora_down.weight"] = state["down"]
        tensors[f"{name}.lora_up.weight"] = state["up"]
        tensors[f"{name}.alpha"] = torch.tensor(float(RANK))
    return tensors


def adapted(name: str | None) -> tuple[Model, nn.ModuleDict]:
    """The finished denoiser with changes on it: new ones, or a stage's result."""
    torch.manual_seed(4)
    networks = new_model()
    load_weights(networks, REFINED.plan.name)
    networks.requires_grad_(requires_grad=False)
    changes = adapt(networks["unet"])
    if name:
        load_weights(changes, name)
    return as_model(networks), changes


def train(name: str = "outline") -> tuple[Model, nn.ModuleDict]:
    """Train in parallel, or load the finished result: the changed model, and its changes."""
    if not load_weights(adapted(None)[1], name):
        parallel.run(partial(work, name))
    return adapted(name)


def work(name: str, rank: int) -> None:
    """One worker's share."""
    pool, (model, changes) = load_pool(POOL), adapted(None)
    generator, rng = torch.Generator().manual_seed(5 + rank), random.Random(5 + rank)

    def cost() -> Tensor:
        rows, batch = draw(pool, BATCH, generator)
        texts = model.text(captions_for(pool, rows, rng))
        return velocity_loss(model, batch, texts, generator, OVERSHOT)

    fit(changes, Plan(name, TRAIN_STEPS, RATE, memory=0.99), cost, rank)
