"""Data-parallel training on the cores of one machine.

Networks this small do not gain from a second thread; a second process doubles the throughput.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import distributed, multiprocessing, nn

WORKERS = 2


def run(work: Callable[[int], None]) -> None:
    """Call a module-level function in every worker process with its number."""
    with TemporaryDirectory() as folder:
        meeting = (Path(folder) / "meeting").as_uri()
        multiprocessing.spawn(_enter, args=(meeting, work), nprocs=WORKERS)


def _enter(rank: int, meeting: str, work: Callable[[int], None]) -> None:
    logging.basicConfig(level=logging.INFO if rank == 0 else logging.WARNING, format=LOG_FORMAT)
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=WORKERS)
    work(rank)
    distributed.destroy_process_group()


LOG_FORMAT = "%(asctime)s %(message)s"


@torch.no_grad()
def average_gradients(module: nn.Module) -> None:
    """Replace every gradient by its mean over the workers."""
    gradients = [weight.grad for weight in module.parameters() if weight.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients]) / WORKERS
    distributed.all_reduce(flat)
    parts = flat.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape))
