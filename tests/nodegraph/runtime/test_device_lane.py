"""The lane of a device: one thread at a time, in the order of their coming."""

import threading
import time
from collections.abc import Callable

import pytest
import torch

from nodegraph.errors import RunCancelledError
from nodegraph.runtime.device_lane import DeviceLane, device_lane, sampling_turn
from nodegraph.runtime.run_environment import CancelToken, RunEnvironment, use_environment


def begin(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_threads_have_the_lane_in_the_order_of_their_coming():
    lane, order = DeviceLane("test:0"), list[int]()

    def visit(number: int) -> None:
        with lane:
            order.append(number)

    threads: list[threading.Thread] = []
    with lane:
        for number in range(5):
            threads.append(begin(lambda number=number: visit(number)))
            until(lambda number=number: lane.waiting == number + 1)
        assert order == []
    for thread in threads:
        thread.join(20)

    assert order == [0, 1, 2, 3, 4]


def test_who_gives_the_lane_back_waits_behind_those_who_wait_already():
    lane, order = DeviceLane("test:0"), list[str]()

    def visit() -> None:
        with lane:
            order.append("other")

    with lane:
        thread = begin(visit)
        until(lambda: lane.waiting == 1)
    with lane:
        order.append("again")
    thread.join(20)

    assert order == ["other", "again"]


def test_a_thread_may_enter_the_lane_that_it_holds():
    lane = DeviceLane("test:0")

    with lane, lane:
        assert lane.is_mine
    assert not lane.is_mine
    with lane:
        pass


def test_an_error_inside_gives_the_lane_back():
    lane = DeviceLane("test:0")

    with pytest.raises(ZeroDivisionError), lane:
        print(1 / 0)

    assert not lane.is_mine
    other = begin(lane.__enter__)
    other.join(20)
    assert not other.is_alive()


def test_a_run_that_is_cancelled_while_it_waits_leaves_the_queue():
    lane, token, ends = DeviceLane("test:0"), CancelToken(), list[str]()

    def visit(token: CancelToken) -> None:
        with use_environment(RunEnvironment(check_cancelled=token.check)):
            try:
                with lane:
                    ends.append("computed")
            except RunCancelledError:
                ends.append("cancelled")

    with lane:
        first = begin(lambda: visit(token))
        until(lambda: lane.waiting == 1)
        second = begin(lambda: visit(CancelToken()))
        until(lambda: lane.waiting == 2)
        token.cancel()
        first.join(20)
        assert ends == ["cancelled"]
    second.join(20)

    assert ends == ["cancelled", "computed"]
    assert lane.waiting == 0


def test_the_processor_has_no_lane():
    for device in (torch.device("cpu"), torch.device("meta")):
        assert not isinstance(device_lane(device), DeviceLane)
        assert not isinstance(sampling_turn(device), DeviceLane)


def test_a_device_has_one_lane_and_one_turn():
    bare, numbered = torch.device("cuda"), torch.device("cuda:0")

    assert device_lane(bare) is device_lane(numbered)
    assert device_lane(bare) is not device_lane(torch.device("cuda:1"))
    assert sampling_turn(bare) is sampling_turn(numbered)
    assert sampling_turn(bare) is not device_lane(bare)
