"""Weights on the device by the plan: bytes that move beside the fewest possible and beside LRU."""

import gc
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import pytest
import torch

from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.residency import FixedBudget, UseHistory
from nodegraph.runtime.run_environment import RunEnvironment, use_environment
from nodegraph.runtime.run_models import RunModels
from nodes.models.loading.handles import ModelHandle
from nodes.models.loading.network import Network
from nodes.models.networks.factory import network_class, skeleton
from nodes.models.residency.units import divide
from tests.simulated_device.test_streaming import sample
from tests.tiny_models.checkpoints import small_flux, small_sd3, small_sd15, write
from tests.tiny_models.handles import opened
from tests.tiny_models.samplable import Samplable

SHARES = (1.0, 0.6, 0.3, 0.15)
"""Budgets, as parts of the weights of all families together."""
CYCLES, STEPS = 3, 2
MARGIN = 8 << 20
"""Room for what is computed beside the weights."""


class Piece(NamedTuple):
    """Weights that are read together."""

    name: str
    nbytes: int


def pieces_of(network: Network) -> list[Piece]:
    """The parts of a network in the order of a pass, as small as its modules allow."""
    sizes, parts = network.file.sizes, network_class(network.spec.kind).parts
    found = divide(skeleton(network.spec), sizes, 0, parts)
    rest = sum(sizes[key] for key in (*found.fixed, *found.tables))
    title = str(id(network))
    units = [Piece(f"{title} {unit.name}", unit.nbytes) for unit in found.units]
    return [Piece(f"{title} rest", rest), *units]


def fewest_bytes(reads: Sequence[Piece], room: int) -> int:
    """The least bytes that can be moved to a memory of that size in which pieces are read.

    Belady's rule with foreknowledge of all reads, and pieces of which any part may stay: what is
    read the latest goes first, what has just been read among it.
    """
    following: dict[str, int] = {}
    next_read = [0] * len(reads)
    for number in range(len(reads) - 1, -1, -1):
        next_read[number] = following.get(reads[number].name, len(reads) + number)
        following[reads[number].name] = number
    kept: dict[str, tuple[int, int]] = {}  # the next read, and the bytes that are there
    moved = 0
    for piece, when in zip(reads, next_read, strict=True):
        _, there = kept.pop(piece.name, (0, 0))
        moved += piece.nbytes - there
        kept[piece.name] = when, piece.nbytes
        surplus = sum(nbytes for _, nbytes in kept.values()) - room
        while surplus > 0:
            name = max(kept, key=lambda each: kept[each][0])
            at, nbytes = kept.pop(name)
            if nbytes > surplus:
                kept[name] = at, nbytes - surplus
            surplus -= nbytes
    return moved


def test_the_fewest_bytes_of_a_small_case():
    a, b, c = Piece("a", 10), Piece("b", 10), Piece("c", 10)

    assert fewest_bytes([a, b, a, b], 20) == 20
    assert fewest_bytes([a, b, a, b], 10) == 30
    assert fewest_bytes([a, b, c, a, b, c], 20) == 40
    assert fewest_bytes([a, b, c, a, b, c], 25) == 35
    assert fewest_bytes([a, a], 4) == 16


@pytest.fixture
def kinds(tmp_path):
    """Three families of about the same size; their files have what is kept in memory, float32."""
    makers = {"sd15": (small_sd15, 64, None), "sd3": (small_sd3, 128, 128)}
    makers["flux"] = partial(small_flux, double=4), 64, 64
    found: list[Samplable] = []
    for name, (make, width, pooled) in makers.items():
        tensors = {key: each.float() for key, each in make().items()}
        path = write(tmp_path / f"{name}.safetensors", tensors)
        found.append(Samplable(ModelHandle(opened(path).model), width, pooled))
    return found


def bytes_moved(simulated, kinds, whole, budget, folder, *, knows: bool) -> int:
    """Sample with the families in turn within a budget, and return the bytes that moved up."""
    networks = [kind.model.model.network for kind in kinds]
    for network in networks:
        network.unload()
    gc.collect()
    pool = ModelPool(1 << 40, FixedBudget(budget))
    simulated.set_budget(simulated.counters().live_bytes + budget + MARGIN)
    simulated.reset()
    for number in range(CYCLES * len(kinds)):
        turn, following = number % len(kinds), networks[(number + 1) % len(kinds)]
        uses = RunModels(pool, None)
        pool.expect({id(following): 1.0} if knows else {})
        with use_environment(RunEnvironment(models=uses)):
            found = sample(kinds[turn], folder, STEPS)
        assert torch.equal(found, whole[turn])
        uses.end()
        assert sum(network.held_bytes for network in networks) <= budget
    assert simulated.counters().refusals == 0
    simulated.set_budget()
    return simulated.counters().bytes_to_device


def test_bytes_beside_the_fewest_possible_and_beside_lru(simulated, tmp_path, kinds, monkeypatch):
    whole = [sample(kind, tmp_path, STEPS) for kind in kinds]
    pieces = [pieces_of(kind.model.model.network) for kind in kinds]
    total = sum(piece.nbytes for each in pieces for piece in each)
    reads = [
        piece for _ in range(CYCLES) for each in pieces for _ in range(STEPS) for piece in each
    ]
    moved, least = dict[float, int](), dict[float, int]()
    for share in SHARES:
        budget = int(share * total)
        moved[share] = bytes_moved(simulated, kinds, whole, budget, tmp_path, knows=True)
        least[share] = fewest_bytes(reads, budget)
    monkeypatch.setattr(ModelPool, "_next_use", knows_nothing)
    monkeypatch.setattr(UseHistory, "next_use", lambda self, clock: 1e9 + clock - self._last)
    for share in SHARES:
        budget = int(share * total)
        lru = bytes_moved(simulated, kinds, whole, budget, tmp_path, knows=False)
        print(
            f"{share:.0%} of {total / 2**20:.1f} MiB: {moved[share] / 2**20:.1f} MiB moved,"
            f" {moved[share] / least[share]:.3f} times the fewest; LRU {lru / moved[share]:.2f} times"
        )


def knows_nothing(pool, model):
    """In place of `ModelPool._next_use`: only that a node is at a model."""
    return -1.0 if any(id(model) in run.repeating for run in pool._runs) else None
