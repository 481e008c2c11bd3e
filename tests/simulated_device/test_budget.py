"""The room for weights on the device: by the settings, and by what is free when it is asked for."""

import pytest
import torch

from nodegraph.execution.weights_budget import AcceleratorMemory

MIB = 1 << 20


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

    assert memory.room(0, 30 * MIB) == 120 * MIB
    assert memory.room(0, None) == 160 * MIB * 4 // 5 - 10 * MIB
    assert AcceleratorMemory().room(0, 0) == 150 * MIB  # a sixteenth stays free
    assert AcceleratorMemory(reserve="25%").room(0, 0) == 120 * MIB


def test_what_others_have_is_not_free_at_the_time_of_the_use(card):
    memory = AcceleratorMemory(reserve=0)
    weights, before = taken(20), memory.room(20 * MIB, 0)
    other = taken(50)

    assert (before, memory.room(20 * MIB, 0)) == (160 * MIB, 110 * MIB)
    del other
    assert memory.room(weights.nbytes, 0) == 160 * MIB


@pytest.mark.parametrize(("budget", "limit"), [("auto", 160), ("25%", 40), (100 * MIB, 100)])
def test_weights_take_no_more_than_the_budget(card, budget, limit):
    memory = AcceleratorMemory(budget, reserve=0)

    assert memory.limit == limit * MIB
    assert memory.room(0, 0) == limit * MIB
    assert memory.room(0, 150 * MIB) == min(limit, 10) * MIB
