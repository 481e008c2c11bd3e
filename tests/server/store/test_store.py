"""The durable queue: what it says it has, it has."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nodegraph.files.file_names import FileSeries
from server.errors import (
    KeyReusedError,
    RunExistsError,
    RunStateError,
    UnknownRunError,
)
from server.store.runs import Ending, File, NewRun, RunFilter, Work
from server.store.store import Store
from tests.server.postgres import ask

WORK = Work(prompt={"1": {"class_type": "X", "inputs": {"a": [1, 2]}}}, targets=["1"])


def new(name, **options):
    return NewRun(id=name, work=WORK, **options)


@pytest.fixture
def store(place):
    store = Store(place)
    store.open()
    yield store
    store.close()


def done(awaitable):
    return asyncio.run(awaitable)


async def accepted(store, *names, **options):
    return [(await store.accept(new(name, **options))).run for name in names]


def test_what_was_accepted_is_there_after_the_store_was_closed(place):
    first = Store(place)
    first.open()
    (run,) = done(accepted(first, "a", client="me", priority=3))
    first.close()

    second = Store(place)
    second.open()
    try:
        assert done(second.run("a")) == run
        assert (run.state, run.client, run.priority) == ("queued", "me", 3)
        assert done(second.work("a")) == WORK
    finally:
        second.close()


def test_a_null_character_in_a_text_is_no_fault_of_the_store(store):
    async def scenario():
        unknown = await store.find("a\0")
        await store.accept(new("a", client="me\0"))
        return unknown, await store.count(RunFilter(client="me\0"))

    assert done(scenario()) == (None, 1)


def test_numbers_grow_and_front_is_before_everything(store):
    one, two = done(accepted(store, "a", "b"))
    (front,) = done(accepted(store, "c", front=True))
    (own,) = done(accepted(store, "d", number=-7.5))

    assert one.number < two.number
    assert front.number < one.number
    assert own.number == -7.5


def test_what_a_change_returns_is_what_is_read_later(store):
    async def scenario():
        accepted = (await store.accept(new("a"))).run
        read = await store.run("a")
        begun = await store.begin("a", "w")
        return [(accepted, read), (begun, await store.run("a"))]

    for returned, read in done(scenario()):
        assert returned == read
        assert type(returned.number) is float


def test_an_idempotency_key_gives_the_same_run_and_refuses_another_request(store):
    async def scenario():
        first = await store.accept(new("a", idempotency_key="k", digest="x"))
        again = await store.accept(new("b", idempotency_key="k", digest="x"))
        with pytest.raises(KeyReusedError):
            await store.accept(new("c", idempotency_key="k", digest="y"))
        return first, again, await store.count()

    first, again, count = done(scenario())
    assert again.run == first.run
    assert first.event
    assert not again.event
    assert count == 1


def test_a_key_that_comes_a_hundred_times_at_once_makes_one_run(store):
    async def scenario():
        requests = (new(f"r{n}", idempotency_key="k", digest="x") for n in range(100))
        return await asyncio.gather(*(store.accept(request) for request in requests))

    results = done(scenario())
    assert len({result.run.id for result in results}) == 1
    assert sum(result.event is not None for result in results) == 1


def test_an_id_is_used_once_and_what_is_refused_leaves_its_group_alone(store):
    async def scenario():
        return await asyncio.gather(
            *(store.accept(new(name)) for name in ("a", "b", "a", "c")), return_exceptions=True
        )

    results = done(scenario())
    assert [type(result) is RunExistsError for result in results] == [False, False, True, False]
    assert done(store.count()) == 3


def commits(store, monkeypatch, times, count):
    """The number of changes in each commit, when so many clients make changes so many times."""
    sizes = []
    commit = store._database._commit

    def note(group):
        sizes.append(len(group))
        commit(group)

    async def client(number):
        for time in range(times):
            await store.accept(new(f"{number}-{time}"))

    async def scenario():
        await asyncio.gather(*map(client, range(count)))

    monkeypatch.setattr(store._database, "_commit", note)
    asyncio.run(scenario())
    return sizes


def test_changes_that_come_at_the_same_time_share_a_commit(store, monkeypatch):
    monkeypatch.setattr("server.store.database.GATHERING", 0.1)

    assert commits(store, monkeypatch, times=3, count=8)[-2:] == [8, 8]


def test_one_client_alone_never_waits_for_others(store, monkeypatch):
    monkeypatch.setattr("server.store.database.GATHERING", 3600)

    assert commits(store, monkeypatch, times=3, count=1) == [1, 1, 1]


def test_a_change_that_nobody_waits_for_any_more_is_not_made(store, monkeypatch):
    async def scenario():
        lost = asyncio.create_task(store.accept(new("lost")))
        await asyncio.sleep(0)
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
        go_on.set()
        await store.accept(new("kept"))
        return [run.id for run in await store.runs()]

    go_on = threading.Event()
    following = store._database._next_group

    def wait(**options):
        group = following(**options)
        go_on.wait(10)
        return group

    go_on.set()
    monkeypatch.setattr(store._database, "_next_group", wait)
    asyncio.run(store.writable())  # after it the writer waits in the function above
    go_on.clear()

    assert asyncio.run(scenario()) == ["kept"]


def test_a_run_goes_its_way_once(store):
    async def scenario():
        await accepted(store, "a")
        running = await store.begin("a", "w")
        with pytest.raises(RunStateError):
            await store.begin("a", "w")
        ended = await store.end("a", Ending("succeeded", "run_finished", {"executed": 2}))
        again = await store.end("a", Ending("cancelled", "run_cancelled", {}))
        return running, ended, again

    running, ended, again = done(scenario())
    assert (running.state, running.attempts, running.worker) == ("running", 1, "w")
    assert ended
    assert ended[0].state == "succeeded"
    assert ended[0].finished_ms is not None
    assert again is None


def test_it_is_known_when_a_run_began_to_wait_and_for_which_trace(store, monkeypatch):
    monkeypatch.setattr("server.store.changes.now_ms", lambda: next(times))
    times = iter(range(1000, 2000))

    async def scenario():
        await store.accept(new("a", trace={"traceparent": "00-1-2-01"}))
        states = [await store.begin("a", "w")]
        states += [(await store.requeue("a", "it died"))[0], await store.begin("a", "w")]
        await store.end("a", Ending("failed", "run_failed", {"error": {"code": "x"}}))
        return [*states, (await store.retry("a"))[0]]

    begun, again, second, retried = done(scenario())
    assert begun.queued_ms == begun.created_ms < begun.started_ms
    assert begun.started_ms < again.queued_ms == second.queued_ms < second.started_ms
    assert second.finished_ms is None
    assert second.started_ms < retried.queued_ms
    assert {run.created_ms for run in (begun, again, second, retried)} == {1000}
    assert {run.trace["traceparent"] for run in (begun, second, retried)} == {"00-1-2-01"}


def test_a_requeued_run_keeps_what_is_held_against_it(store):
    async def scenario():
        await accepted(store, "a")
        await store.begin("a", "w")
        first, _ = await store.requeue("a", "it died", suspect=True)
        await store.begin("a", "w")
        second, _ = await store.requeue("a", "it died", suspect=True, charged=True)
        return first, second

    first, second = done(scenario())
    assert (first.state, first.suspect, first.deaths, first.attempts) == ("queued", True, 0, 1)
    assert (second.suspect, second.deaths, second.attempts) == (True, 1, 2)


def test_only_what_failed_or_was_cancelled_is_retried(store):
    async def scenario():
        await accepted(store, "a")
        with pytest.raises(RunStateError):
            await store.retry("a")
        await store.end("a", Ending("failed", "run_failed", {"error": {"code": "x"}}))
        run, _ = await store.retry("a")
        with pytest.raises(UnknownRunError):
            await store.retry("b")
        return run

    run = done(scenario())
    assert (run.state, run.attempts, run.error) == ("queued", 0, None)


def test_events_are_numbered_through_all_runs_and_through_each(store):
    async def scenario():
        await accepted(store, "a", "b", client="me")
        await store.report("a", [("node_started", {"node": "1"}), ("node_finished", {})])
        await store.report("b", [("node_started", {})])
        everything = await store.events()
        own = await store.events("a")
        later = await store.events(client="me", after=everything[2].id)
        return everything, own, later

    everything, own, later = done(scenario())
    assert [event.id for event in everything] == sorted(event.id for event in everything)
    assert [(event.sequence, event.name) for event in own] == [
        (1, "run_queued"),
        (2, "node_started"),
        (3, "node_finished"),
    ]
    assert own[1].data == {"node": "1"}
    assert later == everything[3:]


def test_events_of_a_run_that_was_forgotten_are_dropped(store):
    assert done(store.report("gone", [("node_started", {})])) == ([], None)


def test_a_file_keeps_its_name_and_no_two_runs_share_one(store):
    place, tomorrow = (FileSeries(Path("/out"), stem, ".png") for stem in ("cat", "cat_tomorrow"))

    async def scenario():
        await accepted(store, "a", "b")
        return [
            await store.name_file(File("a", "9", 0), place, 5),
            await store.name_file(File("b", "9", 0), place, 5),
            await store.name_file(File("a", "9", 1), place, 5),
            await store.name_file(File("a", "9", 0), tomorrow, 8),
        ]

    assert done(scenario()) == [
        place.file(5),
        place.file(6),
        place.file(7),
        place.file(5, again=True),
    ]


def test_a_number_that_somebody_else_has_is_given_up(store):
    place = FileSeries(Path("/out"), "cat", ".png")

    async def scenario():
        await accepted(store, "a")
        await store.name_file(File("a", "9", 0), place, 5)
        await store.unname_file(File("a", "9", 0))
        return await store.name_file(File("a", "9", 0), place, 6)

    assert done(scenario()) == place.file(6)


def test_only_what_is_over_is_forgotten_with_all_that_belongs_to_it(store, place):
    async def scenario():
        await accepted(store, "a", "b", "c")
        for name in ("a", "b"):
            await store.end(name, Ending("succeeded", "run_finished", {}))
        return await store.forget(["a", "c", "nobody"]), await store.forget()

    assert done(scenario()) == (["a"], ["b"])
    for table in ("runs", "graphs"):
        assert ask(place, f"SELECT count(*) FROM {table}") == [(1,)]
    assert set(ask(place, "SELECT run FROM events")) == {("c",)}


def test_history_is_kept_to_its_newest(store):
    async def scenario():
        names = [f"r{n}" for n in range(10)]
        await accepted(store, *names, "waiting")
        for name in names:
            await store.end(name, Ending("succeeded", "run_finished", {}))
        removed = await store.prune(3)
        return removed, [run.id for run in await store.runs()]

    assert done(scenario()) == (7, ["waiting", "r9", "r8", "r7"])


def test_runs_are_paged_newest_first(store):
    async def scenario():
        await accepted(store, *(f"r{n}" for n in range(7)))
        page = await store.runs(limit=3)
        following = await store.runs(RunFilter(before=page[-1].seq), limit=3)
        oldest = await store.runs(RunFilter(states=["queued"]), limit=1, oldest_first=True)
        parts = [[run.id for run in part] for part in (page, following, oldest)]
        everything = len(await store.runs(limit=-1)), len(await store.events(limit=-1))
        return parts, everything

    assert done(scenario()) == ([["r6", "r5", "r4"], ["r3", "r2", "r1"], ["r0"]], (7, 7))


KILLED = """
import asyncio, sys
from pathlib import Path
from server.store.store import Store
from server.store.runs import NewRun, Work

async def main(place, name):
    store = Store(place if "://" in place else Path(place))
    store.open()
    async def one(n):
        await store.accept(NewRun(id=f"{name}{n}", work=Work(prompt={}, targets=[])))
        print(f"{name}{n}", flush=True)
    n = 0
    while True:
        await asyncio.gather(*(one(n + k) for k in range(7)))
        n += 7

asyncio.run(main(*sys.argv[1:]))
"""


def test_what_was_acknowledged_survives_kill_9(place):
    said = []
    for name in ("a", "b", "c"):
        command = [sys.executable, "-c", KILLED, str(place), name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            said += [process.stdout.readline().strip() for _ in range(30)]
            process.kill()
            said += [line.strip() for line in process.stdout if line.endswith("\n")]

        store = Store(place)
        store.open()
        kept = {run.id for run in done(store.runs())}
        store.close()
        assert set(said) - {""} <= kept


def test_keys_and_runs_are_an_owner_s(store):
    async def scenario():
        for owner in ("ann", "bob"):
            request = new(f"{owner}s", owner=owner, idempotency_key="k", digest=owner)
            await store.accept(request)
            await store.end(f"{owner}s", Ending("succeeded", "run_finished", {}))
        runs = [run.id for run in await store.runs(RunFilter(owner="ann"))]
        events = {event.run for event in await store.events(owner="ann")}
        count = await store.count(RunFilter(owner="ann"))
        refused = await store.forget(["bobs"], owner="ann")
        return runs, events, count, refused, await store.forget(owner="ann"), await store.count()

    assert done(scenario()) == (["anns"], {"anns"}, 1, [], ["anns"], 1)
