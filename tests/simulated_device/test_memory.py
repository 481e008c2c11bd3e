"""The simulated device's memory: its budget, failures on demand, pinned memory, and the switch."""

import gc

import pytest
import torch

from nodegraph.runtime.devices import (
    computes_in_half,
    default_device,
    device_name,
    free_bytes,
    memory_bytes,
    memory_in_use,
)
from nodegraph.runtime.out_of_memory import is_out_of_memory, wanted_bytes

MIB = 1 << 20


def empty(nbytes):
    return torch.empty(nbytes, dtype=torch.uint8, device="simulated")


def test_bytes_are_counted_while_tensors_live(simulated):
    before = simulated.live_bytes()
    first = empty(3 * MIB)
    view = first[MIB:]
    del first
    second = empty(MIB)
    assert simulated.counters().live_bytes - before == 4 * MIB

    del view
    assert simulated.counters().live_bytes - before == MIB
    assert simulated.counters().peak_bytes - before == 4 * MIB
    assert second.device == torch.device("simulated", 0)


def test_the_budget_ends_in_an_out_of_memory_error(simulated):
    simulated.set_budget(simulated.live_bytes() + 3 * MIB)
    kept = empty(2 * MIB)

    with pytest.raises(torch.OutOfMemoryError, match="simulated out of memory") as caught:
        empty(2 * MIB)

    assert is_out_of_memory(caught.value)
    assert wanted_bytes(caught.value) == 2 * MIB
    assert simulated.counters().refusals == 1
    del kept
    assert empty(3 * MIB).nbytes == 3 * MIB


def test_the_result_of_an_op_is_on_the_books(simulated):
    small = torch.zeros(1024, 1, device="simulated")
    simulated.set_budget(simulated.live_bytes() + 2 * MIB)

    with pytest.raises(torch.OutOfMemoryError):
        torch.matmul(small, small.T)


def test_an_allocation_fails_when_asked_to(simulated):
    simulated.fail_allocation(2)

    empty(1)
    with pytest.raises(torch.OutOfMemoryError):
        empty(1)
    empty(1)

    assert simulated.counters().refusals == 1


def test_memory_that_nothing_was_written_to_is_not_a_number(simulated):
    assert torch.empty(100, device="simulated").isnan().all()


def test_an_out_that_grows_moves_into_new_memory(simulated):
    before = simulated.live_bytes()
    ones = torch.ones(MIB // 4, device="simulated")
    out = torch.empty(0, device="simulated")

    torch.add(ones, ones, out=out)

    assert out.sum().item() == MIB // 2
    assert simulated.counters().live_bytes - before == 2 * MIB
    del ones, out
    assert simulated.counters().live_bytes == before


def test_torch_and_nodegraph_find_the_device(simulated):
    simulated.set_budget(64 * MIB)
    used = simulated.live_bytes()

    assert default_device() == torch.device("simulated")
    assert memory_bytes() == (64 * MIB - used, 64 * MIB)
    assert free_bytes() == 64 * MIB - used
    assert memory_in_use() == used
    assert torch.accelerator.memory_allocated() == used
    assert device_name(default_device()) == "simulated"
    assert not computes_in_half(default_device())


def test_a_device_that_is_off_is_not_there(simulated):
    kept = torch.ones(2, device="simulated")
    simulated.switch(on=False)

    assert default_device() == torch.device("cpu")
    assert not torch.accelerator.is_available()
    assert memory_in_use() is None
    with pytest.raises(RuntimeError, match="switched off"):
        kept.add(1)


def test_pinned_memory_is_counted_and_can_be_refused(simulated):
    before = simulated.counters().pinned_bytes
    pinned = torch.ones(256).pin_memory()
    view = pinned[10:]

    assert pinned.is_pinned()
    assert view.is_pinned()
    assert not torch.ones(256).is_pinned()
    assert simulated.counters().pinned_allocations == 1
    assert simulated.counters().pinned_bytes - before == 1024
    del pinned, view
    gc.collect()
    assert simulated.counters().pinned_bytes == before
    simulated.refuse_pinning()
    with pytest.raises(RuntimeError, match="can not pin 1024 bytes"):
        torch.ones(256).pin_memory()
