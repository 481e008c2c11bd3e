"""Which weights stay on an accelerator: beside the best choice there is, and beside LRU."""

from collections import Counter
from collections.abc import Iterator

import pytest

from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.pooled_model import PooledModel
from nodegraph.runtime.residency import NOW, Demand, FixedBudget, ModelUse, UseHistory, share_room
from nodegraph.runtime.run_environment import ModelUses
from nodegraph.runtime.run_models import RunModels
from tests.nodegraph.runtime.belady import Piece, fewest_bytes

SIZES = (3200, 4400, 3000)
PIECES = 50
CYCLES = 6


class Streamed(PooledModel):
    """A model on an accelerator of which any part may stay there."""

    def __init__(self, size: int, least: int = 0) -> None:
        self.moved = 0
        """Bytes that have moved to the accelerator."""
        self._size = size
        self._least = least
        self._held = 0
        self._limit: int | None = None
        self._loaded = False

    def nbytes(self) -> int:
        return self._size

    @property
    def held_bytes(self) -> int:
        return self._held

    @property
    def on_accelerator(self) -> bool:
        return True

    @property
    def host_bytes(self) -> int:
        return self._size - self._held if self._loaded else 0

    @property
    def least_bytes(self) -> int:
        return self._least

    def unload(self) -> bool:
        held, self._held, self._loaded = self._loaded, 0, False
        return held

    def trim(self) -> bool:
        return False

    def resize(self, nbytes: int, *, waits: bool = False) -> None:
        del waits
        self._limit = nbytes
        if self._loaded:
            self._settle()

    def compute(self, run: ModelUses, steps: int) -> None:
        """Read weights in each step, as a node does that samples: some in the first one alone."""
        for step in range(steps):
            run.plan(ModelUse((self,), activations=0, repeats=steps > 1, ahead=True))
            loaded, self._loaded = self._loaded, True
            self._settle()
            run.note(self, None if loaded else 1.0)
            self.moved += max((self.steady_bytes if step else self._size) - self._held, 0)

    def _settle(self) -> None:
        share = self._size if self._limit is None else min(self._limit, self._size)
        self.moved += max(share - self._held, 0)
        self._held = share


def moved_bytes(room: int, steps: int, ahead: int) -> int:
    """Use three models in turn, with so many of the next known, and return the bytes that move."""
    models = [Streamed(size) for size in SIZES]
    pool = ModelPool(1 << 60, FixedBudget(room))
    for number in range(CYCLES * len(models)):
        order = [models[(number + k) % len(models)] for k in range(ahead + 1)]
        run = RunModels(pool, None)
        pool.expect({id(model): float(k) for k, model in enumerate(order[1:])})
        order[0].compute(run, steps)
        run.end()
        assert sum(model.held_bytes for model in models) <= room
    return sum(model.moved for model in models)


def reads(steps: int) -> Iterator[Piece]:
    """The same, piece by piece."""
    for _ in range(CYCLES):
        for model, size in enumerate(SIZES):
            for _ in range(steps):
                yield from (Piece(f"{model} {k}", size // PIECES) for k in range(PIECES))


@pytest.mark.parametrize("steps", [1, 2, 20])
@pytest.mark.parametrize("share", [1.0, 0.8, 0.6, 0.3, 0.15])
def test_bytes_beside_the_fewest_possible(share, steps):
    room = int(share * sum(SIZES))
    least = fewest_bytes(list(reads(steps)), room)

    assert moved_bytes(room, steps, ahead=1) <= 1.02 * least
    assert moved_bytes(room, steps, ahead=0) <= 1.1 * least


@pytest.mark.parametrize(("share", "times"), [(0.8, 1.6), (0.6, 1.5)])
def test_bytes_beside_those_of_the_least_recently_used(monkeypatch, share, times):
    room = int(share * sum(SIZES))
    moved = moved_bytes(room, 2, ahead=1)
    monkeypatch.setattr(UseHistory, "next_use", lambda self, clock: 1e9 + clock - self._last)

    assert moved_bytes(room, 2, ahead=0) >= times * moved


def test_the_fewest_bytes_of_a_small_case():
    a, b, c = Piece("a", 10), Piece("b", 10), Piece("c", 10)

    assert fewest_bytes([a, b, a, b], 20) == 20
    assert fewest_bytes([a, b, a, b], 10) == 30
    assert fewest_bytes([a, b, c, a, b, c], 20) == 40
    assert fewest_bytes([a, b, c, a, b, c], 25) == 35
    assert fewest_bytes([a, a], 4) == 16


def test_a_model_that_is_called_again_and_again_comes_before_all_others():
    demands = [Demand(100, 0, 10, NOW, in_use=True), Demand(100, 80, 10, 1.0)]

    assert share_room(120, demands) == [100, 20]
    assert share_room(60, demands) == [60, 0]


def test_weights_that_are_read_once_take_the_place_of_those_that_are_used_later():
    def shares(next_use: float, others: float) -> list[int]:
        return share_room(
            120, [Demand(100, 0, 10, next_use, in_use=True), Demand(100, 100, 10, others)]
        )

    assert shares(5.0, 1.0) == [20, 100]
    assert shares(1.0, 5.0) == [100, 20]


def test_what_a_model_reads_once_takes_the_place_of_weights_that_are_used_later():
    def shares(once_next: float) -> list[int]:
        at_it = Demand(100, 0, 10, NOW, in_use=True, once=30, once_next=once_next)
        return share_room(120, [at_it, Demand(100, 100, 10, 3.0)])

    assert shares(5.0) == [70, 50]
    assert shares(1.0) == [100, 20]


def test_a_part_of_a_model_that_can_not_be_split_is_of_no_use():
    demands = [Demand(100, 0, 10, NOW, in_use=True), Demand(100, 80, 100, 1.0)]

    assert share_room(120, demands) == [100, 0]


def test_a_call_that_found_too_little_memory_gets_more_the_next_time():
    pool, model = ModelPool(1 << 60, FixedBudget(1000)), Streamed(800, least=100)
    run = RunModels(pool, None)
    model.compute(run, 2)
    assert model.held_bytes == 800

    shares = list[int]()
    while run.shrink():
        model.compute(run, 2)
        shares.append(model.held_bytes)

    assert shares == [400, 200, 100]


def test_without_room_on_the_host_weights_are_let_go_of():
    class Full(FixedBudget):
        def may_park(self, nbytes: int) -> bool:
            return nbytes <= 500

    pool, models = ModelPool(1 << 60, Full(1000)), [Streamed(900), Streamed(900)]
    run = RunModels(pool, None)
    models[0].compute(run, 2)
    run.leave_node()
    models[1].compute(run, 2)

    assert [model.held_bytes for model in models] == [0, 900]
    assert models[0].host_bytes == 0


def test_the_plan_of_a_run_says_what_stays():
    pool, models = ModelPool(1 << 60, FixedBudget(1000)), [Streamed(500) for _ in range(3)]
    run = RunModels(pool, None)
    run.foresee = lambda: {id(models[0]): 1.0, id(models[1]): 7.0}
    for model in (models[0], models[1], models[2]):
        model.compute(run, 2)
        run.leave_node()

    assert Counter(model.held_bytes for model in models) == {500: 2, 0: 1}
    assert models[1].held_bytes == 0


def test_a_model_that_another_run_is_at_stays():
    pool, models = ModelPool(1 << 60, FixedBudget(1000)), [Streamed(700), Streamed(700, least=50)]
    one, other = RunModels(pool, None), RunModels(pool, None)
    models[0].compute(one, 2)
    models[1].compute(other, 1)
    assert [model.held_bytes for model in models] == [700, 300]

    one.leave_node()
    other.leave_node()
    models[1].compute(other, 2)

    assert [model.held_bytes for model in models] == [300, 700]


def test_models_that_take_turns_in_one_node_keep_their_shares():
    pool, models = ModelPool(1 << 60, FixedBudget(1000)), [Streamed(800, least=50) for _ in "ab"]
    run = RunModels(pool, None)
    for model in models:
        model.compute(run, 2)
    before = [model.moved for model in models]
    assert [model.held_bytes for model in models] == [800, 200]

    for model in models * 3:
        model.compute(run, 2)

    assert [model.held_bytes for model in models] == [800, 200]
    moved = [model.moved - start for model, start in zip(models, before, strict=True)]
    assert moved == [0, 6 * 600]  # what does not stay passes through in each call
