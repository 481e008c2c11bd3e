"""The training loop that denoiser, distillation and LoRA share; one call in every worker."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.parallel import average_gradients
from training.storage import Averaged, cosine, save_weights

log = logging.getLogger(__name__)

LOG_EVERY, SAVE_EVERY = 50, 500


@dataclass(frozen=True, slots=True)
class Plan:
    """The number of steps and the learning rates of a training run."""

    name: str  # of the result
    steps: int
    rate: float
    memory: float = 0.999  # of the moving average of the weights


def fit(trained: nn.Module, plan: Plan, cost: Callable[[], Tensor], rank: int) -> None:
    """Minimise a cost, gradients averaged over the workers; store the averaged weights.

    Args:
        trained: holds the weights to train.
        plan: how long and how fast.
        cost: the loss of a fresh batch.
        rank: number of this worker; the first one stores the result.
    """
    weights = [weight for weight in trained.parameters() if weight.requires_grad]
    optimiser = torch.optim.Adam(weights, lr=plan.rate, betas=(0.9, 0.99))
    average = Averaged(trained, plan.memory)
    for step in range(plan.steps):
        loss = cost()
        optimiser.param_groups[0]["lr"] = cosine(step, plan.steps, plan.rate)
        optimiser.zero_grad()
        loss.backward()
        average_gradients(trained)
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        average.update(step)
        if rank == 0 and step % LOG_EVERY == 0:
            log.info("%s step %d loss %.4f", plan.name, step, loss.item())
        if rank == 0 and step % SAVE_EVERY == SAVE_EVERY - 1:
            save_weights(average.model, f"{plan.name}-part")
    if rank == 0:
        save_weights(average.model, plan.name)
