"""Several dispatchers over one Postgres: claims, events in order, cancelling, taking over."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from nodegraph.errors import SettingsError
from tests.server import postgres
from tests.server.collector import SAMPLED
from tests.server.fleet.members import Member, until

STORY = ["run_queued", "run_started", "node_started", "node_finished", "run_finished"]


def play(scenario, url, *names, **options):
    """Run a scenario with members of these names."""

    async def work():
        async with AsyncExitStack() as stack:
            members = [
                await stack.enter_async_context(Member(url, name, **options)) for name in names
            ]
            return await scenario(*members)

    return asyncio.run(work())


def say_strange_things(url):
    """Send notices that no server sends, as anybody may who can connect."""
    for channel in ("nodegraph", "nodegraph_live"):
        for text in ("garbage", "x.1 1 0 {}", 'x.2 1 0 {"op": "watch"}', "9" * 5000):
            postgres.query(url, f"SELECT pg_notify('{channel}', '{text}')")


def test_each_run_is_computed_once_and_everybody_hears_the_same(database):
    runs = [f"r{number}" for number in range(30)]

    async def scenario(a, b):
        for number, name in enumerate(runs):
            await (a, b)[number % 2].submit(name, client=f"c{number % 3}", steps=2)
        await asyncio.gather(a.over(*runs), b.over(*runs))
        return a, b, await a.store.runs()

    a, b, found = play(scenario, database, "a", "b")

    assert sorted([*a.worker.begun, *b.worker.begun]) == sorted(runs)
    assert a.worker.begun
    assert b.worker.begun
    assert {(run.state, run.attempts) for run in found} == {("succeeded", 1)}
    assert {run.server for run in found} == {"a", "b"}
    assert a.milestones() == b.milestones()
    assert [number for number, _ in a.milestones()] == sorted({n for n, _ in a.milestones()})


def test_a_run_of_a_busy_server_is_computed_by_another(database):
    async def scenario(a, b):
        b.worker.ready = False
        await b.submit("a1", steps=3)
        await b.over("a1")
        return a.worker.begun, b.names("a1"), b.dispatcher.remaining("")

    begun, heard, remaining = play(scenario, database, "a", "b")

    assert begun == ["a1"]
    assert remaining == 0
    assert [name for name in heard if name != "progress"] == STORY


def test_progress_reaches_who_watches_elsewhere_whatever_strangers_say(database):
    async def scenario(a, b):
        await asyncio.to_thread(say_strange_things, database)
        b.worker.ready = False
        watcher = b.bus.subscribe(client="me", owner="ann")
        another = b.bus.subscribe(client="me", owner="bob")
        await b.submit("slow", client="me", owner="ann", steps=400)
        await b.submit("other", client="you")
        await b.over("slow")
        heard = []
        while not watcher._waiting.empty():
            heard.append((await watcher.next()).name)
        return heard, a.worker.looks, b.names("other"), another._waiting.empty()

    heard, looks, other, of_another = play(scenario, database, "a", "b")

    passing = [place for place, name in enumerate(heard) if name == "progress"]
    assert passing
    assert heard.index("node_started") < passing[0]
    assert passing[-1] < heard.index("run_finished")
    assert ("slow", True) in looks
    assert "progress" not in other
    assert of_another


def test_a_run_is_cancelled_from_another_server_while_it_waits_and_while_it_is_computed(database):
    async def scenario(a, b):
        b.worker.ready = False
        await a.submit("long", steps=100_000)
        await a.submit("waits")
        await until(lambda: "long" in b.dispatcher.elsewhere and b.dispatcher.queue() == ["waits"])
        counted = b.dispatcher.remaining("")
        done = [await b.dispatcher.cancel(name) for name in ("waits", "long", "none")]
        await asyncio.gather(a.over("long", "waits"), b.over("long", "waits"))
        again = await b.dispatcher.cancel("long")
        return counted, done, again, await a.store.runs(), a.dispatcher.queue(), a.worker.begun

    counted, done, again, runs, left, begun = play(scenario, database, "a", "b", lease=60)

    assert counted == 2
    assert done == [True, True, False]
    assert again is False
    assert {run.state for run in runs} == {"cancelled"}
    assert left == []
    assert begun == ["long"]


def test_runs_of_a_server_that_is_gone_are_taken_over_and_what_it_still_reports_is_refused(
    database,
):
    async def scenario(a, b):
        b.worker.ready = False
        await a.submit("r", steps=400, client="me", trace=SAMPLED)
        await until(lambda: "r" in b.dispatcher.elsewhere)
        lease = a.dispatcher._tasks.pop()
        lease.cancel()
        b.worker.ready = True
        await until(lambda: b.worker.begun)
        await b.over("r")
        await until(lambda: not a.dispatcher.mine())
        await until(lambda: b.tracer.collected.named("run"))
        spans = a.tracer.collected, b.tracer.collected
        return await b.store.run("r"), await b.store.events("r"), *spans

    run, events, *spans = play(scenario, database, "a", "b")

    names = [event.name for event in events]
    assert (run.state, run.attempts, run.deaths, run.server) == ("succeeded", 2, 0, "b")
    assert names.count("run_finished") == names.count("run_requeued") == 1
    assert names.index("run_requeued") < names.index("run_finished")
    assert names[names.index("run_requeued") :].count("node_started") == 1
    first, second = spans[1].named("attempt")
    assert first.parent == second.parent == spans[1].one("run").id
    assert (first.message, second.failed) == ("the server a was lost", False)
    assert spans[0].one("queue wait").parent == first.parent
    assert len(spans[0].spans) == 1


def test_a_server_that_hears_that_it_was_given_up_stops_its_runs_and_goes_on(database):
    async def scenario(a, b):
        b.worker.ready = False
        await a.submit("r", steps=100_000)
        await until(lambda: "r" in b.dispatcher.elsewhere)
        await b.store.servers.take_over("a", "the test says so")
        await until(lambda: "r" in a.worker.cancelled)
        a.worker.cancelled.clear()
        await until(lambda: a.worker.begun == ["r", "r"])
        await b.dispatcher.cancel("r")
        await a.over("r")
        return await a.store.run("r")

    run = play(scenario, database, "a", "b")

    assert (run.state, run.attempts, run.server) == ("cancelled", 2, "a")


def test_a_server_that_stops_leaves_its_runs_to_others_at_once(database):
    async def scenario(a, b):
        b.worker.ready = False
        await a.submit("r", steps=100_000)
        await until(lambda: "r" in b.dispatcher.elsewhere)
        await a.dispatcher.stop()
        b.worker.ready = True
        b.dispatcher.wake()
        await until(lambda: b.worker.begun)
        await b.dispatcher.cancel("r")
        await b.over("r")
        return await b.store.run("r")

    run = play(scenario, database, "a", "b", lease=60)

    assert (run.state, run.attempts) == ("cancelled", 2)


def test_a_name_that_a_living_server_has_is_refused_and_its_runs_go_on(database):
    async def scenario(a):
        await a.submit("r", steps=100_000)
        await until(lambda: a.worker.begun)
        with pytest.raises(SettingsError) as refused:
            async with Member(database, "a", address="there:1"):
                pass
        await a.dispatcher.cancel("r")
        await a.over("r")
        return refused.value, await a.store.run("r")

    refused, run = play(scenario, database, "a")

    assert "here:a has the name 'a'" in refused.message
    assert "server.name" in (refused.hint or "")
    assert (run.state, run.attempts) == ("cancelled", 1)


def test_a_server_that_died_at_another_address_is_succeeded_under_its_name(database):
    async def scenario(a):
        await a.submit("r", steps=100_000)
        await until(lambda: a.worker.begun)
        a.dispatcher._tasks.pop().cancel()  # its signs of life
        async with Member(database, "a", lease=2, address="there:1") as again:
            await until(lambda: again.worker.begun)
            await again.dispatcher.cancel("r")
            await again.over("r")
            return await again.store.run("r"), await again.store.servers.find_all()

    run, (seen,) = play(scenario, database, "a", lease=2)

    assert (run.state, run.attempts, run.deaths) == ("cancelled", 2, 0)
    assert seen.address == "there:1"
