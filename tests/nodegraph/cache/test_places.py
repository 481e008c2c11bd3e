"""The order in which results leave a place, and the memory that they take there."""

from typing import Any, cast

from nodegraph.cache.ranking import Ranking
from nodegraph.cache.storages import Storages
from nodegraph.cache.survey import HOST, Storage
from tests.toys import Tensor

CARD = "cuda:0"


def storage(name, nbytes=100, place=CARD):
    return Storage(place, name, nbytes, Tensor(nbytes))


def order(ranking):
    return list(iter(ranking.pop, None))


def test_what_takes_the_fewest_seconds_for_a_byte_leaves_first():
    ranking = Ranking()
    ranking.put("dear", 10, 100)
    ranking.put("large", 10, 1000)
    ranking.put("cheap", 0.1, 100)

    assert order(ranking) == ["cheap", "large", "dear"]


def test_each_ranking_ages_by_what_left_it_alone():
    first, second = Ranking(), Ranking()
    for ranking in (first, second):
        ranking.put("dear", 3, 1)
        ranking.put("cheap", 1, 1)

    for _ in range(3):
        assert first.pop() == "cheap"
        first.put("cheap", 1, 1)

    assert (first.age, second.age) == (3, 0)
    first.put("new", 0.5, 1)
    assert order(first) == ["dear", "new", "cheap"]
    assert order(second) == ["cheap", "dear"]


def test_what_was_discarded_or_ranked_anew_leaves_once():
    ranking = Ranking()
    for seconds in (1, 5):
        ranking.put("x", seconds, 1)
    ranking.put("gone", 2, 1)
    ranking.put("y", 3, 1)
    ranking.discard("gone")

    assert (len(ranking), "x" in ranking, "gone" in ranking) == (2, True, False)
    assert order(ranking) == ["y", "x"]


def test_memory_that_several_results_hold_counts_once_until_the_last_is_gone():
    storages = Storages()
    storages.add([storage("a"), storage("b", 7, HOST)])
    storages.add([storage("a")])

    assert (storages.nbytes(CARD), storages.nbytes(HOST), storages.accelerators) == (100, 7, [CARD])
    storages.remove([storage("a"), storage("b", 7, HOST)])
    assert (storages.nbytes(CARD), storages.nbytes(HOST)) == (100, 0)
    storages.remove([storage("a")])
    assert storages.nbytes(CARD) == 0


def test_a_copy_is_known_from_both_sides_while_both_are_held_and_unchanged():
    storages, there, here = Storages(), storage("there"), storage("here", place=HOST)
    storages.add([there])
    storages.pair({"there": "here"})
    assert storages.twin("there") is None  # nothing holds the copy
    storages.add([here])
    storages.pair({"there": "here"})

    assert (storages.twin("there"), storages.twin("here")) == (here.leaf, there.leaf)
    cast("Any", here.leaf).write()
    assert (storages.twin("there"), storages.twin("here")) == (None, there.leaf)
    storages.remove([there])
    assert storages.twin("here") is None
