"""The simulated device's counters and its log of transfers."""

import pytest
import torch


def test_copies_are_counted_by_direction(simulated):
    there = torch.ones(10, 3).to(simulated.device)
    there.cpu()
    there.to("cpu", torch.float64)
    there.clone()

    counted = simulated.counters()
    assert (counted.copies_to_device, counted.bytes_to_device) == (1, 120)
    assert (counted.copies_to_host, counted.bytes_to_host) == (2, 120 + 240)
    assert counted.syncs == 0


def test_ops_and_views_are_told_apart(simulated):
    value = torch.empty(4, 3, device=simulated.device)
    simulated.reset()

    value.t()[1:].unsqueeze(0)
    assert (simulated.counters().ops, simulated.counters().views) == (0, 3)

    (value * 2).clone().add_(1)
    assert simulated.counters().ops == 3
    assert simulated.counters().allocations == 2


@torch.no_grad()
def test_layers_are_one_op_each(simulated):
    layers = {
        torch.nn.GroupNorm(2, 4): (1, 4, 5, 5),
        torch.nn.LayerNorm(4): (3, 4),
        torch.nn.Conv2d(4, 2, 3): (1, 4, 5, 5),
        torch.nn.Linear(4, 2): (3, 4),
    }
    for layer, shape in layers.items():
        layer.to(simulated.device)
        value = torch.ones(shape, device=simulated.device)
        simulated.reset()
        layer(value)
        assert simulated.counters().ops == 1, layer
    heads = torch.ones(1, 2, 5, 8, device=simulated.device)
    simulated.reset()
    torch.nn.functional.scaled_dot_product_attention(heads, heads, heads)
    assert simulated.counters().ops == 1


@pytest.mark.parametrize(
    ("look", "copies"),
    [
        (lambda value: value.sum().item(), 1),
        (lambda value: bool((value > 0).all()), 1),
        (lambda value: value.nonzero(), 0),
        (lambda value: value[value > 0], 0),
        (lambda value: torch.equal(value, value), 0),
        (lambda value: torch.accelerator.synchronize(), 0),
        (lambda value: torch.accelerator.current_stream().synchronize(), 0),
    ],
)
def test_the_host_waits_for_what_it_wants_to_know(simulated, look, copies):
    value = torch.ones(4, device=simulated.device)
    simulated.reset()

    look(value)

    assert simulated.counters().syncs == 1
    assert simulated.counters().copies_to_host == copies


def test_indices_of_the_host_are_copied(simulated):
    value = torch.ones(4, device=simulated.device)
    simulated.reset()

    value[torch.tensor([0, 2])]
    assert simulated.counters().copies_to_device == 1

    value.index_put_((torch.tensor([0, 2]),), value.new_zeros(2))
    assert simulated.counters().copies_to_device == 2
    assert simulated.counters().bytes_to_device == 32


def read_first(value):
    return value[0].item()


def test_the_log_says_who_asked(simulated):
    with simulated.log_transfers() as log:
        there = torch.ones(3).to(simulated.device)
        read_first(there)
    there.cpu()

    assert [(one.kind, one.nbytes) for one in log] == [
        ("to device", 12),
        ("sync", 0),
        ("to host", 4),
    ]
    assert log[1].calls[0].startswith("tests/simulated_device/test_counters.py:")
    assert [call.split()[1] for call in log[1].calls[:2]] == [
        "read_first",
        "test_the_log_says_who_asked",
    ]


def test_counters_begin_at_zero_after_a_reset(simulated):
    kept = torch.ones(3, device=simulated.device)
    torch.ones(300, device=simulated.device)
    simulated.reset()

    counted = simulated.counters()

    assert counted.ops == counted.allocations == counted.copies_to_device == 0
    assert counted.peak_bytes == counted.live_bytes >= kept.nbytes
