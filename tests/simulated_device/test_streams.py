"""Copies in the background: streams, events, and a link that takes its time."""

import time

import torch
from torch import Tensor

SPEED = 4_000_000
SIZE = 250_000
"""Values of four bytes, a quarter of a second on the link."""
SECONDS = SIZE * 4 / SPEED


def send(value: Tensor, stream: torch.Stream) -> tuple[Tensor, torch.Event]:
    arrived = torch.Event(device="simulated")
    with stream:
        there = value.to("simulated", non_blocking=True)
        arrived.record(stream)
    return there, arrived


def test_a_copy_takes_the_time_of_its_bytes(simulated):
    value = torch.ones(SIZE)
    simulated.set_link_speed(SPEED)

    start = time.perf_counter()
    there = value.to(simulated.device)
    middle = time.perf_counter()
    there[: SIZE // 2].cpu()
    end = time.perf_counter()

    assert middle - start >= SECONDS
    assert end - middle >= SECONDS / 2


def test_a_pinned_copy_on_a_side_stream_is_overlapped(simulated):
    stream = torch.Stream(device="simulated")
    value = torch.ones(SIZE).pin_memory()
    simulated.set_link_speed(SPEED)

    start = time.perf_counter()
    there, arrived = send(value, stream)
    assert not arrived.query()
    assert not stream.query()
    assert there.isnan().all()  # not there yet: what does not wait is seen
    arrived.synchronize()

    assert time.perf_counter() - start >= SECONDS
    stream.synchronize()
    assert stream.query()
    assert torch.equal(there.cpu(), value)


def test_a_copy_of_pageable_memory_is_waited_for(simulated):
    stream = torch.Stream(device="simulated")
    simulated.set_link_speed(SPEED)

    start = time.perf_counter()
    there, arrived = send(torch.ones(SIZE), stream)

    assert time.perf_counter() - start >= SECONDS
    arrived.synchronize()
    assert there.sum().item() == SIZE


def test_the_default_stream_waits_for_an_event(simulated):
    stream = torch.Stream(device="simulated")
    value = torch.ones(SIZE).pin_memory()
    simulated.set_link_speed(SPEED)

    there, arrived = send(value, stream)
    torch.accelerator.current_stream().wait_event(arrived)

    assert there.sum().item() == SIZE
    assert simulated.counters().syncs == 1  # the number that is read, not the event


def test_a_side_stream_waits_for_another(simulated):
    first, second = (torch.Stream(device="simulated") for _ in range(2))
    value, back = torch.ones(SIZE).pin_memory(), torch.zeros(SIZE).pin_memory()
    simulated.set_link_speed(SPEED)

    there, arrived = send(value, first)
    second.wait_event(arrived)
    with second:
        back.copy_(there, non_blocking=True)
    assert back.sum() == 0
    second.synchronize()

    assert torch.equal(back, value)


def test_an_op_on_a_side_stream_comes_after_its_copies(simulated):
    stream = torch.Stream(device="simulated")
    value = torch.ones(SIZE).pin_memory()
    simulated.set_link_speed(SPEED)

    with stream:
        total = value.to("simulated", non_blocking=True).sum()
        assert torch.accelerator.current_stream() == stream

    assert torch.accelerator.current_stream() != stream
    assert total.item() == SIZE


def test_events_measure_time(simulated):
    stream = torch.Stream(device="simulated")
    start, end = (torch.Event(device="simulated", enable_timing=True) for _ in range(2))
    value = torch.ones(SIZE).pin_memory()
    simulated.set_link_speed(SPEED)

    start.record(stream)
    send(value, stream)
    end.record(stream)
    torch.accelerator.synchronize()

    assert SECONDS * 1000 <= start.elapsed_time(end) < SECONDS * 10_000


def test_memory_lives_until_its_copy_is_done(simulated):
    stream = torch.Stream(device="simulated")
    value = torch.ones(SIZE).pin_memory()
    before = simulated.counters()
    simulated.set_link_speed(SPEED)

    there, arrived = send(value, stream)
    del there, value

    assert simulated.counters().live_bytes == before.live_bytes + SIZE * 4
    arrived.synchronize()
    stream.synchronize()
    assert simulated.counters().live_bytes == before.live_bytes
    assert simulated.counters().pinned_bytes == before.pinned_bytes - SIZE * 4
