"""Weights on the device by the plan: bytes that move beside the fewest possible and beside LRU."""

from typing import cast

import pytest
import torch

from nodegraph.execution.engine import Engine
from nodegraph.packs.registry import Registry
from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.residency import FixedBudget
from nodegraph.runtime.run_environment import RunEnvironment, use_environment
from nodegraph.runtime.run_models import RunModels
from nodegraph.settings.settings import Settings
from nodes.models.loading.handles import ModelHandle
from nodes.models.loading.network import Network
from nodes.models.networks.factory import network_class, skeleton
from nodes.models.residency.units import divide
from tests.nodegraph.runtime.belady import Piece, bytes_by_lru, fewest_bytes
from tests.simulated_device.test_lane import txt2img
from tests.simulated_device.test_streaming import MIB, sample
from tests.tiny_models.checkpoints import (
    LETTERS,
    small_flux,
    small_sd3,
    small_sd15,
    small_sd21,
    small_sdxl,
    write,
)
from tests.tiny_models.handles import opened
from tests.tiny_models.samplable import Samplable, samplable

SHARES = (1.0, 0.6, 0.3, 0.15)
"""Budgets, as parts of the weights of all families together."""
CYCLES, STEPS = 3, 2
MOST = {1.0: 1.001, 0.6: 1.1, 0.3: 1.1, 0.15: 1.16}
"""What may move beside the fewest bytes, by budget.

Two slots of the least of them take 0.1 of the networks, whose layers are few and large for them.
"""
MARGIN = 8 << 20
"""Room for what is computed beside the weights."""


def reads_of(network: Network) -> list[Piece]:
    """The parts that one turn of a network reads, as small as its modules allow.

    What makes the modulation is read once, before the first step.
    """
    sizes, parts = network.file.sizes, network_class(network.spec.kind).parts
    found = divide(skeleton(network.spec), sizes, 0, parts)
    rest = sum(sizes[key] for key in (*found.fixed, *found.tables))
    title = str(id(network))
    seldom, often = (
        [
            Piece(f"{title} {unit.name}", unit.nbytes)
            for unit in found.units
            if unit.is_seldom == is_seldom
        ]
        for is_seldom in (True, False)
    )
    return [*seldom, *STEPS * [Piece(f"{title} rest", rest), *often]]


@pytest.fixture
def kinds(tmp_path):
    """Three families of about the same size; their files have what is kept in memory, float32."""
    makers = {
        "sd15": (small_sd15(), 64, None),
        "sd3": (small_sd3(), 128, 128),
        "flux": (small_flux(double=4), 64, 64),
    }
    found: list[Samplable] = []
    for name, (made, width, pooled) in makers.items():
        tensors = {key: each.float() for key, each in made.items()}
        path = write(tmp_path / f"{name}.safetensors", tensors)
        found.append(Samplable(ModelHandle(opened(path).model), width, pooled))
    return found


class Turns:
    """The families one after the other, again and again."""

    def __init__(self, simulated, kinds, folder) -> None:
        self._device = simulated
        self._kinds = kinds
        self._folder = folder
        self._networks = [kind.model.model.network for kind in kinds]
        self._whole = [sample(kind, folder, STEPS) for kind in kinds]
        self.total = sum(network.held_bytes for network in self._networks)
        simulated.reset()
        for kind in kinds:
            sample(kind, folder, STEPS)
        self._beside = simulated.counters().bytes_to_device
        """What moves for one turn of each beside weights."""

    def moved(self, budget: int) -> int:
        """Take the turns within a budget, and return the bytes of weights that move."""
        for network in self._networks:
            network.unload()
        pool = ModelPool(1 << 40, FixedBudget(budget))
        self._device.set_budget(self._device.live_bytes() + budget + MARGIN)
        self._device.reset()
        for number in range(CYCLES * len(self._kinds)):
            turn = number % len(self._kinds)
            following = self._networks[(turn + 1) % len(self._kinds)]
            pool.expect({id(following): 1.0})
            uses = RunModels(pool, None)
            with use_environment(RunEnvironment(models=uses)):
                assert torch.equal(
                    sample(self._kinds[turn], self._folder, STEPS), self._whole[turn]
                )
            uses.end()
            assert sum(network.held_bytes for network in self._networks) <= budget
        assert self._device.counters().refusals == 0
        self._device.set_budget()
        return self._device.counters().bytes_to_device - CYCLES * self._beside

    def reads(self) -> list[Piece]:
        """Return what is read in all turns, by parts."""
        return CYCLES * [piece for network in self._networks for piece in reads_of(network)]

    def reads_of_wholes(self) -> list[Piece]:
        """Return what is read in all turns, by whole networks."""
        wholes = [Piece(str(id(network)), network.nbytes()) for network in self._networks]
        return CYCLES * [whole for whole in wholes for _ in range(STEPS)]


@pytest.mark.slow
@pytest.mark.parametrize("share", SHARES)
def test_bytes_beside_the_fewest_possible_and_beside_lru(simulated, tmp_path, kinds, share):
    turns = Turns(simulated, kinds, tmp_path)
    budget = int(share * turns.total)
    moved, least = turns.moved(budget), fewest_bytes(turns.reads(), budget)
    by_parts = bytes_by_lru(turns.reads(), budget)
    by_wholes = bytes_by_lru(turns.reads_of_wholes(), budget)

    print(
        f"{share:.0%} of {turns.total / MIB:.1f} MiB: {moved / MIB:.2f} MiB moved,"
        f" {moved / least:.3f} times the fewest; by LRU {by_wholes / moved:.2f} times as many for"
        f" whole networks, {by_parts / moved:.2f} for parts (at best {by_wholes / least:.2f} and"
        f" {by_parts / least:.2f})"
    )
    assert moved <= MOST[share] * least


def test_a_network_that_waits_keeps_what_is_there_and_no_slots(simulated, tmp_path):
    kind = samplable(tmp_path, "sd3")
    network = kind.model.model.network
    whole, nbytes = sample(kind, tmp_path), network.held_bytes
    simulated.reset()

    network.resize(nbytes // 2, waits=True)
    kept = network.held_bytes
    assert 0.9 * (nbytes // 2) <= kept <= nbytes // 2
    network.resize(nbytes // 3, waits=True)
    network.resize(nbytes // 2, waits=True)  # nothing comes for that
    assert network.held_bytes <= nbytes // 3
    assert simulated.counters().bytes_to_device == 0

    kept = network.held_bytes
    network.resize(nbytes)
    assert simulated.counters().bytes_to_device == nbytes - kept
    assert torch.equal(sample(kind, tmp_path), whole)
    network.resize(network.least_bytes // 2, waits=True)
    assert torch.equal(sample(kind, tmp_path), whole)  # it gets what it can not do without


def test_with_room_for_what_is_called_often_a_step_brings_nothing(simulated, tmp_path):
    kind = samplable(tmp_path, "sd3")
    network = kind.model.model.network
    network.resize(network.steady_bytes)
    few, many = (moved(simulated, lambda n=n: sample(kind, tmp_path, n)) for n in (2, 4))

    assert network.steady_bytes < 0.9 * network.nbytes()
    assert network.held_bytes <= network.steady_bytes
    assert many - few < 1000


def moved(simulated, call) -> int:
    """The bytes that come to the device for a call, once everything is in its place."""
    call()
    before = simulated.counters().bytes_to_device
    call()
    return simulated.counters().bytes_to_device - before


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.6, 0.3])
def test_whole_workflows_within_the_memory_of_the_device(simulated, tmp_path, share):
    makers = {"sd15": small_sd15, "sd21": small_sd21, "sdxl": small_sdxl}
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    files = [
        write(folder / f"{name}.safetensors", make(), LETTERS) for name, make in makers.items()
    ]
    registry = Registry.load(names=("nodes",))
    settings = Settings(models_dir=(tmp_path,), temp_dir=tmp_path / "temp")

    def images(rounds: int) -> tuple[list[torch.Tensor], Engine]:
        engine = Engine(registry, settings.files(registry.model_places))
        graphs = [txt2img(seed, path.name) for seed in range(rounds) for path in files]
        runs = [engine.run(graph, targets=["image"]) for graph in graphs]
        return [cast("torch.Tensor", run.outputs["image"][0]).cpu() for run in runs], engine

    expected, engine = images(2)
    weights = engine.models.stats.nbytes
    del engine
    simulated.set_budget(simulated.live_bytes() + int(share * weights) + MARGIN)
    simulated.reset()

    found = images(2)[0]

    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert simulated.counters().refusals == 0
