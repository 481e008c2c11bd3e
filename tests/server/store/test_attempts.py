"""One run, several servers: who may begin it, who may report on it, and who takes it over."""

import asyncio

import pytest

from server.errors import LostAttemptError, RunStateError, UnknownRunError
from server.store.runs import Attempt, Ending, NewRun, Work
from server.store.store import Store

SUCCESS = Ending("succeeded", "run_finished", {})
STEP = ("node_started", {"node": "1"})


@pytest.fixture
def store(place):
    store = Store(place)
    store.open()
    yield store
    store.close()


async def begun(store, *names, server="one", **options):
    """Runs that a server computes."""
    for name in names:
        await store.accept(NewRun(id=name, work=Work(prompt={}, targets=[]), **options))
        await store.begin(name, "w", server)


async def names_of(store, run):
    return [event.name for event in await store.all_events(run)]


def test_a_run_is_claimed_once_and_says_by_whom(store):
    async def scenario():
        await store.accept(NewRun(id="a", work=Work(prompt={}, targets=[])))
        claims = [store.begin("a", "w", f"server {number}") for number in range(8)]
        results = await asyncio.gather(*claims, return_exceptions=True)
        with pytest.raises(UnknownRunError):
            await store.begin("nobody", "w", "one")
        return results, await store.run("a")

    results, run = asyncio.run(scenario())
    (winner,) = (result for result in results if not isinstance(result, RunStateError))
    assert winner == run
    assert run.attempt == Attempt(run.server, 1)


def test_an_attempt_that_was_taken_over_changes_nothing(store):
    async def scenario():
        await begun(store, "a")
        stale = (await store.run("a")).attempt
        await store.servers.take_over("one", "it is gone")
        await store.begin("a", "w", "two")
        before = await store.run("a"), await store.all_events("a")
        for write in (
            store.report("a", [STEP], attempt=stale),
            store.report("a", [STEP], SUCCESS, stale),
            store.end("a", SUCCESS, stale),
            store.requeue("a", "died", attempt=stale),
        ):
            with pytest.raises(LostAttemptError):
                await write
        return before, (await store.run("a"), await store.all_events("a"))

    before, after = asyncio.run(scenario())
    assert before == after
    assert before[0].attempt == Attempt("two", 2)


def test_the_same_server_s_earlier_attempt_counts_no_more_either(store):
    async def scenario():
        await begun(store, "a")
        first = (await store.run("a")).attempt
        await store.report("a", [STEP], attempt=first)
        await store.requeue("a", "the worker died", attempt=first)
        with pytest.raises(LostAttemptError):
            await store.report("a", [STEP], attempt=first)
        second = (await store.begin("a", "w", "one")).attempt
        with pytest.raises(LostAttemptError):
            await store.report("a", [STEP], attempt=first)
        _, ended = await store.report("a", [STEP], SUCCESS, second)
        with pytest.raises(LostAttemptError):
            await store.report("a", [STEP], attempt=second)
        return ended, await names_of(store, "a")

    ended, names = asyncio.run(scenario())
    assert ended[0].state == "succeeded"
    assert names == ["run_queued", "node_started", "run_requeued", "node_started", "run_finished"]


def test_a_refused_report_leaves_its_group_alone(store):
    async def scenario():
        await begun(store, "a", "b")
        wrong = Attempt("another", 1)
        writes = [store.report("a", [STEP], attempt=wrong), store.report("b", [STEP])]
        results = await asyncio.gather(*writes, return_exceptions=True)
        return results, await names_of(store, "a"), await names_of(store, "b")

    results, first, second = asyncio.run(scenario())
    assert isinstance(results[0], LostAttemptError)
    assert (first, second) == (["run_queued"], ["run_queued", "node_started"])


def test_a_run_is_cancelled_wherever_it_is(store):
    async def scenario():
        await begun(store, "running")
        await store.accept(NewRun(id="waiting", work=Work(prompt={}, targets=[])))
        waiting, event = await store.cancel("waiting")
        running, none = await store.cancel("running")
        asked = await store.servers.find_cancelled("one")
        await store.end("running", Ending("cancelled", "run_cancelled", {}))
        over = [await store.cancel(name) for name in ("waiting", "running", "nobody")]
        return (
            waiting,
            event,
            running,
            none,
            asked,
            over,
            await store.servers.find_cancelled("one"),
        )

    waiting, event, running, none, asked, over, left = asyncio.run(scenario())
    assert (waiting.state, event.name) == ("cancelled", "run_cancelled")
    assert (running.state, running.cancel, none) == ("running", True, None)
    assert (asked, over, left) == (["running"], [None, None, None], [])


def test_a_server_lives_as_long_as_it_beats(store):
    async def scenario():
        new = await store.servers.beat("one", "http://one")
        known = await store.servers.beat("one", "http://one")
        await begun(store, "a")
        alive = await store.servers.find_lapsed(60_000)
        refused = await store.servers.take_over("one", "it is gone", 60_000)
        await asyncio.sleep(0.02)
        lapsed = await store.servers.find_lapsed(1)
        taken = await store.servers.take_over("one", "it is gone", 1)
        again = await store.servers.beat("one", "http://one")
        (seen,) = await store.servers.find_all()
        return (new, known, again), alive, refused, lapsed, taken, seen

    beats, alive, refused, lapsed, ((run, event),), seen = asyncio.run(scenario())
    assert beats == (False, True, False), "who was given up hears of it"
    assert (alive, refused, lapsed) == ([], [], ["one"])
    assert (run.state, run.server, run.deaths, event.name) == ("queued", "", 0, "run_requeued")
    assert (seen.name, seen.address) == ("one", "http://one")
    assert 0 <= seen.age_ms < 60_000


def test_a_server_that_left_no_sign_but_runs_is_found_and_its_cancelled_runs_end(store):
    async def scenario():
        await begun(store, "a", "b", server="ghost", webhook="http://h/")
        await store.cancel("b")
        names = await store.servers.find_lapsed(60_000)
        taken = await store.servers.take_over("ghost", "it is gone", 60_000)
        return (
            names,
            taken,
            store.deliveries.changed.is_set(),
            await store.servers.find_lapsed(60_000),
        )

    names, taken, told, after = asyncio.run(scenario())
    assert (names, after, told) == (["ghost"], [], True)
    assert [(run.id, run.state) for run, _ in taken] == [("a", "queued"), ("b", "cancelled")]
