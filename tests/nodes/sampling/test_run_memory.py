"""The memory of a run tells values apart by identity, and keeps a limited number of bytes."""

import torch
from torch import Tensor

from nodes.sampling.conditioning.run_memory import FREE_SHARE, RunMemory

TEXT = torch.ones(4)


class Counted:
    """Makes doubles, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, source: Tensor = TEXT) -> Tensor:
        self.count += 1
        return source * 2


def test_a_value_is_made_once_for_the_same_objects():
    memory, make = RunMemory(), Counted()

    first, again = (memory.recall("double", (TEXT,), make) for _ in range(2))

    assert again is first
    assert make.count == 1


def test_other_objects_and_other_names_have_values_of_their_own():
    memory, make = RunMemory(), Counted()
    equal = TEXT.clone()

    found = [
        memory.recall("double", (TEXT,), make),
        memory.recall("double", (equal,), lambda: make(equal)),
        memory.recall("twice", (TEXT,), make),
        memory.recall("double", (TEXT, equal), make),
    ]

    assert make.count == len(found) == len({id(each) for each in found})


def test_what_a_value_was_made_of_lives_as_long_as_the_value():
    """Else a new object could have the identity of one that is gone, and get its value."""
    memory = RunMemory()
    found: set[int] = set()

    for number in range(50):
        source = torch.full((4,), float(number))
        assert memory.recall("double", (source,), lambda s=source: s * 2)[0] == 2 * number
        found.add(id(source))

    assert len(found) == 50


def test_nothing_is_kept_any_more_once_a_value_was_too_large():
    memory, make = RunMemory(most=40), Counted()

    memory.recall("small", (), make)
    memory.recall("large", (), lambda: make(torch.ones(8)))
    memory.recall("small", (), make)
    assert make.count == 2
    assert memory.room == 0
    for _ in range(2):
        memory.recall("other", (), make)

    assert make.count == 4


def test_values_of_several_tensors_count_whole():
    memory = RunMemory(most=100)

    memory.recall("pairs", (), lambda: {"down": (TEXT, TEXT), "middle": (TEXT,)})

    assert memory.room == 100 - 3 * 16


def test_no_more_than_a_share_of_what_is_free_is_kept(monkeypatch):
    monkeypatch.setattr("nodes.sampling.conditioning.run_memory.free_bytes", lambda _: 800)

    assert RunMemory().room == 800 // FREE_SHARE
    assert RunMemory(most=16).room == 16
