"""The lane of a device: the threads of a process compute there one after another.

On an accelerator one model call uses all of the device. Two at once would need the memory of both
and be no sooner over, so a thread holds the lane for one call: one forward of a denoiser, one
image of a VAE. Between two calls of a run whoever waited first has its own. A run that samples
holds the device's turn besides, from its first step to its last: the others encode, decode and
load meanwhile, but sample when it is over, so that no two models take turns in memory.
"""

import threading
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from functools import cache

from nodegraph.runtime.devices import Device, is_accelerator
from nodegraph.runtime.run_environment import check_cancelled

_PATIENCE = 0.05
"""Seconds that pass at most until a waiting thread notices that its run was cancelled."""


class DeviceLane:
    """A lock that a thread may take again while it holds it; who waits longest has it next.

    Entering it raises `RunCancelledError` if the thread's run was cancelled while it waited.

    Args:
        name: of its device.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._mutex = threading.Lock()
        self._owner: int | None = None
        self._depth = 0
        self._waiting: deque[_Ticket] = deque()

    @property
    def is_mine(self) -> bool:
        """True if the calling thread holds it."""
        return self._owner == threading.get_ident()

    @property
    def waiting(self) -> int:
        """The number of threads that wait for it."""
        return len(self._waiting)

    def __enter__(self) -> None:
        ticket = self._take_or_queue()
        if ticket is None:
            return
        handed_over = False
        try:
            while not ticket.called.wait(_PATIENCE):
                check_cancelled()
            check_cancelled()
            handed_over = True
        finally:
            if not handed_over:
                self._give_up(ticket)

    def __exit__(self, *_: object) -> None:
        with self._mutex:
            self._depth -= 1
            if not self._depth:
                self._hand_over()

    def _take_or_queue(self) -> "_Ticket | None":
        """Take the lane, if it is free or held by this thread; else return a place in the queue."""
        me = threading.get_ident()
        with self._mutex:
            if self._owner in (None, me):
                self._owner = me
                self._depth += 1
                return None
            ticket = _Ticket(me)
            self._waiting.append(ticket)
            return ticket

    def _hand_over(self) -> None:
        """Make the first that waits the owner; the mutex is held."""
        following = self._waiting.popleft() if self._waiting else None
        self._owner = following.thread if following else None
        if following:
            self._depth = 1
            following.called.set()

    def _give_up(self, ticket: "_Ticket") -> None:
        """Leave the queue; hand the lane on if it was this thread's turn meanwhile."""
        with self._mutex:
            if ticket.called.is_set():
                self._depth = 0
                self._hand_over()
            else:
                self._waiting.remove(ticket)


class _Ticket:
    """The place of one thread in the queue."""

    __slots__ = ("called", "thread")

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.called = threading.Event()


def device_lane(device: Device) -> AbstractContextManager[None]:
    """Return the lane of a device, to be held for one model call; on the CPU nobody waits."""
    return lane_of(_name(device)) if is_accelerator(device) else _NOTHING


def sampling_turn(device: Device) -> AbstractContextManager[None]:
    """Return the turn to sample on a device, to be held from a sampler's first step to its last."""
    return turn_of(_name(device)) if is_accelerator(device) else _NOTHING


@cache
def lane_of(name: str) -> DeviceLane:
    """Return the lane of an accelerator, such as `cuda:0`; the same for all threads."""
    return DeviceLane(name)


@cache
def turn_of(name: str) -> DeviceLane:
    """Return the turn to sample on an accelerator; the same for all threads."""
    return DeviceLane(name)


def _name(device: Device) -> str:
    return f"{device.type}:{device.index or 0}"


_NOTHING: AbstractContextManager[None] = nullcontext()
