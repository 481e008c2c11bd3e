"""FLUX.1-dev and SDXL in turn with 24 GB for weights: bytes that move, and the best there is.

Prompts are new each time, so that text encoders work, too. Nothing is computed and nothing is
loaded: the sizes are those of the networks at full size, in 16 bits.
"""

from collections.abc import Sequence

import pytest

from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.residency import FixedBudget
from nodegraph.runtime.run_models import RunModels
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.networks.factory import network_class, skeleton
from nodes.models.residency.split import FINEST, least_share, steady_share
from nodes.models.residency.units import divide
from tests.full_size.models import MODELS, Part
from tests.nodegraph.runtime.belady import Piece, bytes_by_lru, fewest_bytes
from tests.nodegraph.runtime.test_residency import Streamed

BUDGET = 24_000_000_000
STEPS = 4
CYCLES, SETTLED = 6, 3
"""The turns of both models, and those before the bytes are counted."""
GOAL = 1.5
"""LRU for whole networks moves so many times our bytes."""


class FullSize(Streamed):
    """One network, of which any part may stay on the card; `repeats` if a sampler calls it."""

    def __init__(self, part: Part, number: int, *, repeats: bool) -> None:
        spec = NetworkSpec(part.kind, part.kind, part.config, part.prefix, part.table)
        network, parts = skeleton(spec), network_class(spec.kind).parts
        sizes = {key: 2 * weight.numel() for key, weight in network.state_dict().items()}
        total = sum(sizes.values())
        self._steady = steady_share(lambda largest: divide(network, sizes, largest, parts), sizes)
        found = divide(network, sizes, total // FINEST, parts)
        rest = sum(sizes[key] for key in (*found.fixed, *found.tables))
        self.whole = Piece(f"{number}", total)
        self._seldom = [Piece(f"{number} {u.name}", u.nbytes) for u in found.units if u.is_seldom]
        often = [Piece(f"{number} {u.name}", u.nbytes) for u in found.units if not u.is_seldom]
        self._often = [Piece(f"{number} rest", rest), *often]
        self.repeats = repeats
        super().__init__(total, least_share(lambda n: divide(network, sizes, n, parts), sizes))

    @property
    def steady_bytes(self) -> int:
        return self._steady

    @property
    def steps(self) -> int:
        return STEPS if self.repeats else 1

    @property
    def reads(self) -> list[Piece]:
        """What one turn reads: the modulation before the first step."""
        return [*self._seldom, *self.steps * self._often]


@pytest.fixture(scope="module")
def models() -> list[list[FullSize]]:
    """The networks of each model in the order of their uses."""
    (flux,), (t5,), (clip,), (ae,) = (MODELS[k] for k in ("flux_dev", "t5xxl", "clip_l", "ae"))
    unet, vae, *texts = MODELS["sdxl"]
    orders = [(clip, t5, flux, ae), (*texts, unet, vae)]
    return [
        [FullSize(part, 10 * k + n, repeats=part in (flux, unet)) for n, part in enumerate(parts)]
        for k, parts in enumerate(orders)
    ]


def moved_by_plan(models: Sequence[Sequence[FullSize]]) -> int:
    """The bytes of the last turns, when the prompt that comes next is always known."""
    pool = ModelPool(1 << 60, FixedBudget(BUDGET))
    before = 0
    networks = [network for each in models for network in each]
    for number in range(CYCLES * len(models)):
        if number == SETTLED * len(models):
            before = sum(network.moved for network in networks)
        now, following = (models[(number + k) % len(models)] for k in (0, 1))
        pool.expect({id(each): float(k) for k, each in enumerate(following)})
        run = RunModels(pool, None)
        for at, network in enumerate(now):
            later = {id(each): float(k) for k, each in enumerate(now[at + 1 :], 1)}
            run.foresee = lambda later=later: later
            network.compute(run, network.steps)
            run.leave_node()
        run.end()
        assert sum(network.held_bytes for network in networks) <= BUDGET
    return sum(network.moved for network in networks) - before


@pytest.mark.slow
def test_bytes_beside_the_fewest_possible_and_beside_lru(models):
    networks = [network for each in models for network in each]
    parts = [piece for network in networks for piece in network.reads]
    wholes = [network.whole for network in networks for _ in range(network.steps)]

    def settled(count, reads: list[Piece]) -> int:
        return count(CYCLES * reads, BUDGET) - count(SETTLED * reads, BUDGET)

    least = settled(fewest_bytes, parts)
    by_wholes, by_parts = settled(bytes_by_lru, wholes), settled(bytes_by_lru, parts)
    moved = moved_by_plan(models)

    total = sum(network.nbytes() for network in networks)
    figures = [each / 1e9 / (CYCLES - SETTLED) for each in (least, moved, by_parts, by_wholes)]
    print(
        f"{total / 1e9:.1f} GB of weights, {BUDGET / 1e9:.0f} GB for them; GB in two prompts: at"
        " least {:.1f}, by plan {:.1f}, by LRU {:.1f} for parts and".format(*figures)
        + f" {figures[3]:.1f} for whole networks: {by_wholes / least:.2f} times the least,"
        f" {by_wholes / moved:.2f} times ours ({by_parts / moved:.2f} for parts)"
    )
    assert moved <= 1.1 * least
    assert by_wholes >= GOAL * moved
