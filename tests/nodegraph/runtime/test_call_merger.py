"""Calls of several threads that are made as one."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from nodegraph.errors import RunCancelledError
from nodegraph.runtime.call_merger import MOST_ITEMS, CallMerger

PATIENT = 60.0
"""Seconds to wait for others where a test has them come for certain."""


class Doubler:
    """Doubles numbers, and notes which it was given together."""

    def __init__(self):
        self.batches: list[list[int]] = []

    def __call__(self, items):
        self.batches.append(list(items))
        return [2 * item for item in items]


def run_together(count, work):
    """Run `work(number)` in as many threads, all begun at once; return the results in order."""
    gate = threading.Barrier(count)

    def begin(number):
        gate.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def test_one_participant_waits_for_nobody():
    merger, double = CallMerger(), Doubler()

    with merger.participate("model") as alone:
        results = [merger.call("kind", number, double, alone) for number in range(3)]

    assert results == [0, 2, 4]
    assert double.batches == [[0], [1], [2]]


def test_participants_make_their_calls_together_step_by_step():
    merger, double = CallMerger(PATIENT), Doubler()
    ready = threading.Barrier(4)

    def work(number):
        with merger.participate("model") as me:
            ready.wait()
            return [merger.call("kind", 10 * step + number, double, me) for step in range(5)]

    results = run_together(4, work)

    assert results == [[2 * (10 * step + n) for step in range(5)] for n in range(4)]
    assert [len(batch) for batch in double.batches] == [4] * 5
    assert merger.counts == (20, 5)


def test_calls_of_other_kinds_are_made_apart():
    merger, double = CallMerger(), Doubler()
    ready = threading.Barrier(4)

    def work(number):
        with merger.participate("model") as me:
            ready.wait()
            return [merger.call(number % 2, number, double, me) for _ in range(3)]

    assert run_together(4, work) == [[2 * n] * 3 for n in range(4)]
    assert all(len({n % 2 for n in batch}) == 1 for batch in double.batches)


def test_one_that_does_not_come_is_waited_for_once():
    merger, double = CallMerger(), Doubler()

    with merger.participate("model"), merger.participate("model") as busy:
        merger.call("kind", 1, double, busy)
        merger._shortest_wait = 3600.0  # a second wait would not end
        assert merger.call("kind", 2, double, busy) == 4


def test_calls_that_come_while_one_is_computed_are_computed_after_it():
    merger = CallMerger()
    begun, go_on, batches = threading.Event(), threading.Event(), []

    def compute(items):
        batches.append(sorted(items))
        begun.set()
        go_on.wait(10)
        return items

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(merger.call, "text", 0, compute)
        assert begun.wait(10)
        others = [pool.submit(merger.call, "text", n, compute) for n in (1, 2, 3)]
        while merger.counts[0] < 4:
            pass
        go_on.set()
        assert [first.result(10), *(other.result(10) for other in others)] == [0, 1, 2, 3]

    assert batches == [[0], [1, 2, 3]]
    assert not merger._kinds


@pytest.mark.parametrize("error", [RunCancelledError(), MemoryError("out of memory")])
def test_an_error_is_told_to_the_call_that_it_belongs_to(error):
    merger = CallMerger()
    ready = threading.Barrier(3)

    def compute(items):
        if 1 in items:
            raise error
        return items

    def work(number):
        with merger.participate("model") as me:
            ready.wait()
            try:
                return merger.call("kind", number, compute, me)
            except (RunCancelledError, MemoryError):
                return "failed"

    assert run_together(3, work) == [0, "failed", 2]


def test_a_batch_has_a_largest_size():
    merger, double = CallMerger(), Doubler()
    count = MOST_ITEMS + 3
    ready = threading.Barrier(count)

    def work(number):
        with merger.participate("model") as me:
            ready.wait()
            return merger.call("kind", number, double, me)

    assert run_together(count, work) == [2 * n for n in range(count)]
    assert max(len(batch) for batch in double.batches) <= MOST_ITEMS


def test_nothing_is_kept_after_the_last_participant():
    merger = CallMerger()

    with merger.participate("model") as me:
        merger.call("kind", 1, Doubler(), me)
        assert merger._kinds

    assert not merger._kinds
    assert not merger._participants
