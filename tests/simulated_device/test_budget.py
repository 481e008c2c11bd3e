"""The room for weights on the device: by the settings, and by what is free when it is asked for."""

import pytest
import torch

from nodegraph.execution.weights_budget import AcceleratorMemory

MIB = 1 << 20


def near(mebibytes: float) -> object:
    """As many bytes, but for what tests before have left there, which may go at any time."""
    return pytest.approx(mebibytes * MIB, abs=1 << 16)


def taken(mebibytes: int) -> torch.Tensor:
    """Memory of the device that something else has."""
    return torch.zeros(mebibytes * MIB, dtype=torch.uint8, device="simulated")


@pytest.fixture
def card(simulated):
    """The device with 160 MiB."""
    simulated.set_budget(simulated.live_bytes() + 160 * MIB)
    return simulated


def test_room_is_what_is_free_less_the_activations_and_the_reserve(card):
    memory = AcceleratorMemory(reserve=10 * MIB)

    assert memory.room(0, 30 * MIB) == near(120)
    assert memory.room(0, None) == near(160 * 4 / 5 - 10)
    assert AcceleratorMemory().room(0, 0) == near(150)  # a sixteenth stays free
    assert AcceleratorMemory(reserve="25%").room(0, 0) == near(120)


def test_what_others_have_is_not_free_at_the_time_of_the_use(card):
    memory = AcceleratorMemory(reserve=0)
    weights, before = taken(20), memory.room(20 * MIB, 0)
    other = taken(50)

    assert (before, memory.room(20 * MIB, 0)) == (near(160), near(110))
    del other
    assert memory.room(weights.nbytes, 0) == near(160)


@pytest.mark.parametrize(("budget", "limit"), [("auto", 160), ("25%", 40), (100 * MIB, 100)])
def test_weights_take_no_more_than_the_budget(card, budget, limit):
    memory = AcceleratorMemory(budget, reserve=0)

    assert memory.limit == near(limit)
    assert memory.room(0, 0) == near(limit)
    assert memory.room(0, 150 * MIB) == near(min(limit, 10))
