"""The pool of models: claims of runs, the budget, and which weights go first."""

import pytest

from nodegraph.runtime.model_pool import ModelPool, held_or_loaded
from nodegraph.runtime.pooled_model import PooledModel
from nodegraph.runtime.run_environment import RunEnvironment, use_environment
from nodegraph.runtime.run_models import RunModels


class Model(PooledModel):
    """A model whose weights are so many bytes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.weights: bytes | None = None

    def nbytes(self) -> int:
        return self._size

    @property
    def held_bytes(self) -> int:
        return 0 if self.weights is None else len(self.weights)

    def unload(self) -> bool:
        held, self.weights = self.weights is not None, None
        return held

    def trim(self) -> bool:
        return False

    def use(self, run: RunModels) -> None:
        """Use the weights as a node of a run does."""
        with use_environment(RunEnvironment(models=run)):
            self.weights = held_or_loaded(self, self.weights, lambda: bytes(self._size))


@pytest.fixture
def models():
    return [Model(100) for _ in range(3)]


def held(models):
    return [model.held_bytes for model in models]


def test_what_a_run_claims_stays_above_the_budget_and_then_the_oldest_go(models):
    pool = ModelPool(250)
    run = RunModels(pool, None)
    for model in models:
        run.hold([model])
        model.use(run)
    assert held(models) == [100, 100, 100]

    run.release([models[1]])
    assert held(models) == [100, 0, 100]  # the only one that may go
    run.end()

    assert held(models) == [100, 0, 100]
    assert (pool.stats.models, pool.stats.nbytes, pool.stats.evictions) == (2, 200, 1)


def test_room_is_made_before_weights_are_loaded(models):
    pool = ModelPool(200)
    for model in models:
        run = RunModels(pool, None)
        model.use(run)
        assert sum(held(models)) <= 200
        run.end()

    assert held(models) == [0, 100, 100]
    assert (pool.stats.hits, pool.stats.loads, pool.stats.evictions) == (0, 3, 1)


def test_a_use_makes_weights_the_last_to_go(models):
    pool = ModelPool(200)
    for model in (models[0], models[1], models[0], models[2]):
        run = RunModels(pool, None)
        model.use(run)
        run.end()

    assert held(models) == [100, 0, 100]
    assert (pool.stats.hits, pool.stats.loads) == (1, 3)


def test_a_model_in_no_result_stays_to_the_end_of_the_run(models):
    pool = ModelPool(0)
    run = RunModels(pool, None)
    for model in models:
        model.use(run)
    assert held(models) == [100, 100, 100]

    run.end()

    assert held(models) == [0, 0, 0]


def test_a_model_of_two_results_or_two_runs_stays_to_the_last(models):
    pool = ModelPool(0)
    one, other = RunModels(pool, None), RunModels(pool, None)
    model = models[0]
    one.hold([model])
    one.hold([model])
    other.hold([model])
    model.use(one)
    model.use(other)

    one.release([model])
    assert model.held_bytes
    one.release([model])
    assert model.held_bytes
    other.release([model])
    assert not model.held_bytes


def test_the_budget_is_asked_for_when_weights_are_first_loaded(models):
    asked: list[int] = []

    def budget() -> int:
        asked.append(1)
        return 250

    pool = ModelPool(budget)
    assert (pool.stats.limit, asked) == (0, [])
    models[0].use(RunModels(pool, None))
    assert (pool.stats.limit, asked) == (250, [1])
    models[1].use(RunModels(pool, None))

    assert (pool.stats.limit, asked) == (250, [1])


def test_idle_weights_are_let_go_of_and_claimed_ones_are_not(models):
    pool = ModelPool(1000)
    before, now = RunModels(pool, None), RunModels(pool, None)
    models[0].use(before)
    before.end()
    now.hold([models[1]])
    models[1].use(now)

    assert pool.unload_idle()
    assert held(models) == [0, 100, 0]
    assert not pool.unload_idle()


def test_pinned_weights_stay_whatever_is_loaded_or_forgotten(models):
    pool = ModelPool(100)
    for model, pins in zip(models, (2, 0, 0), strict=True):
        run = RunModels(pool, None)
        model.use(run)
        for _ in range(pins):
            pool.pin(model)
        run.end()

    assert held(models) == [100, 0, 0]
    assert not pool.unload_idle()
    assert not pool.unload([])
    assert held(models) == [100, 0, 0]


def test_the_files_whose_weights_are_held_are_known(models, monkeypatch):
    monkeypatch.setattr(Model, "source", property(lambda self: f"{models.index(self) // 2}.bin"))
    pool = ModelPool(300)
    assert list(pool.sources) == []
    run = RunModels(pool, None)
    for model in models:
        model.use(run)

    assert list(pool.sources) == ["0.bin", "1.bin"]
    models[2].unload()
    assert list(pool.sources) == ["0.bin"]
    run.end()
