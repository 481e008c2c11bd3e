"""The caches: what every policy promises, and what the one by content does with its bytes."""

from dataclasses import dataclass

import pytest

from nodegraph.cache.books import OVERHEAD
from nodegraph.cache.content import ContentCache
from nodegraph.cache.entry import entry_of
from nodegraph.cache.protocol import NoCache
from nodegraph.cache.ranking import Ranking
from nodegraph.cache.survey import survey
from tests.toys import Tensor

CACHES = [NoCache, ContentCache, lambda: ContentCache(limit=0)]


def entry(nbytes=0, seconds=1.0):
    return entry_of((Tensor(nbytes),), None, seconds)


def room_for(count, nbytes=1000):
    """A cache that `count` entries of that size just fit into."""
    return ContentCache(limit=count * (nbytes + OVERHEAD))


@pytest.mark.parametrize("make", CACHES)
def test_a_cache_gives_back_what_was_put_or_nothing(make):
    cache, kept = make(), entry()
    assert cache.get("x") is None

    cache.put("x", kept)

    assert cache.get("x") in (kept, None)
    cache.drop("x")
    assert cache.get("x") is None
    cache.drop("x")


@pytest.mark.parametrize("make", CACHES)
def test_a_result_that_somebody_wrote_to_is_forgotten(make):
    cache, tensor = make(), Tensor()
    kept = entry_of((tensor,), None, 1.0)
    cache.put("x", kept)

    tensor.write()

    assert cache.get("x") is None


def test_it_keeps_to_its_limit():
    cache = room_for(3)
    for k in range(10):
        cache.put(str(k), entry(1000))

    assert cache.stats.nbytes == cache.stats.limit
    assert (cache.stats.entries, cache.stats.evictions) == (3, 7)


def test_what_is_dear_for_its_size_stays():
    cache = room_for(5)
    cache.put("dear", entry(1000, seconds=100))
    cache.put("small", entry(10, seconds=5))
    for k in range(20):
        cache.put(str(k), entry(1000, seconds=1))

    assert cache.get("dear")
    assert cache.get("small")


def test_what_was_dear_long_ago_goes_in_the_end():
    cache = room_for(3)
    cache.put("dear", entry(1000, seconds=5))
    for k in range(100):
        cache.put(str(k), entry(1000, seconds=1))

    assert cache.get("dear") is None


def test_what_the_next_run_will_look_for_leaves_after_all_others():
    cache = room_for(2)
    cache.put("next", entry(1000, seconds=1))
    cache.expect({"next", "unknown"})
    for k in range(10):
        cache.put(str(k), entry(1000, seconds=100))
        assert cache.get("next", counted=False)
    cache.expect({"next", "10"})
    cache.put("10", entry(1000, seconds=100))
    cache.put("11", entry(1000, seconds=100))

    assert cache.stats.nbytes == cache.stats.limit
    assert cache.get("next")
    cache.expect(())
    for k in range(200):
        cache.put(str(k), entry(1000, seconds=100))
    assert cache.get("next") is None


def test_a_hit_renews_the_rank():
    cache = room_for(3)
    cache.put("used", entry(1000))
    for k in range(20):
        cache.put(str(k), entry(1000))
        assert cache.get("used")


def test_what_a_run_refers_to_is_found_though_evicted_or_too_large():
    cache = ContentCache(limit=3000)
    large, small = entry(10**9), entry(1000)
    cache.put("large", large)
    cache.put("small", small)
    cache.put("next", entry(1000, seconds=2))

    assert cache.stats.entries == 1
    assert cache.get("large") is large
    assert cache.get("small") is small
    del large, small
    assert cache.get("large") is cache.get("small") is None


def test_putting_twice_counts_once_and_clearing_counts_nothing():
    cache = ContentCache()
    for _ in range(2):
        cache.put("x", entry(1000))

    assert (cache.stats.entries, cache.stats.nbytes) == (1, 1000 + OVERHEAD)
    cache.clear()
    assert (cache.stats.entries, cache.stats.nbytes) == (0, 0)


def test_hits_and_misses_are_counted():
    cache = ContentCache()
    cache.put("x", entry())
    for key in ("x", "x", "y"):
        cache.get(key)

    assert (cache.stats.hits, cache.stats.misses) == (2, 1)


def test_many_hits_do_not_grow_the_heap():
    ranking = Ranking()
    for _ in range(5000):
        ranking.put("x", 1.0, 10)

    assert len(ranking._heap) < 2000


@dataclass
class Latent:
    samples: Tensor
    mask: Tensor | None = None


class Storage:
    def __init__(self, nbytes):
        self._nbytes = nbytes

    def nbytes(self):
        return self._nbytes

    def data_ptr(self):
        return id(self)


class View(Tensor):
    def __init__(self, storage, nbytes):
        super().__init__(nbytes)
        self.storage = storage

    def untyped_storage(self):
        return self.storage


class NoCounting:
    nbytes = 8

    @property
    def _version(self):
        message = "inference tensors do not track version counter"
        raise RuntimeError(message)


def test_containers_and_dataclasses_add_up_and_nothing_counts_twice():
    shared = Tensor(100)
    loop: list[object] = [shared]
    loop.append(loop)
    value = {"a": [Latent(shared, Tensor(10)), shared], "text": "four", "loop": loop, "n": 3}

    found = survey(value)

    assert found.nbytes == 100 + 10 + sum(map(len, ("a", "text", "four", "loop", "n")))
    assert len(found.versions) == 2


def test_views_of_one_storage_count_once_and_whole():
    storage = Storage(1000)

    assert survey([View(storage, 10), View(storage, 20)]).nbytes == 1000


def test_a_tensor_that_does_not_count_writes_is_taken_as_it_is():
    assert entry_of((NoCounting(),), None, 0.0).intact
    assert survey(NoCounting())[:3] == (8, (), ())


def test_a_deep_value_needs_no_recursion():
    value = [Tensor(7)]
    for _ in range(10_000):
        value = [value]

    assert survey(value).nbytes == 7


def test_a_second_look_of_the_same_run_is_not_counted():
    cache = ContentCache()
    cache.put("x", entry())

    for key in ("x", "gone"):
        cache.get(key)
        cache.get(key, counted=False)

    assert (cache.stats.hits, cache.stats.misses) == (1, 1)
