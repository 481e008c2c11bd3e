"""A run that was just accepted begins without a read of the store; others are read."""

import asyncio

from server.scheduling.fresh_runs import FreshRuns
from server.store.runs import NewRun, Work
from server.store.store import Store
from tests.server.postgres import queue_in
from tests.server.scheduling.test_dispatcher import House, Scripted


def work(text):
    return Work(prompt={"text": text}, targets=[])


def accepted(path, *texts):
    """What the store said when it took runs with these texts in their graphs."""

    async def scenario():
        return [
            await store.accept(NewRun(id=str(number), work=work(text)))
            for number, text in enumerate(texts)
        ]

    store = Store(path)
    store.open()
    try:
        return asyncio.run(scenario())
    finally:
        store.close()


def test_runs_are_kept_while_there_is_room_and_taken_once(tmp_path):
    found = accepted(queue_in(tmp_path), "x" * 100, "x" * 1000, "x" * 200)
    fresh = FreshRuns(400)
    for each in found:
        fresh.keep(each, work("x"))

    assert [each.nbytes for each in found] == [116, 1016, 216]
    assert len(fresh) == 2
    assert fresh.take("1") is None
    assert fresh.take("0") == (found[0].run, work("x"))
    assert fresh.take("0") is None
    fresh.keep(found[0], work("x"))
    assert len(fresh) == 2


def reads(path, *, restarted):
    """The runs that are read from the store to begin; before or after a restart of the server."""
    found = []

    async def scenario():
        worker = Scripted()
        worker.ready = not restarted
        async with House(path, worker) as house:
            await house.submit("a", client="me")
            if not restarted:
                await house.over()
        if restarted:
            async with House(path, Scripted()) as house:
                read = house.store.run_with_work

                async def note(run_id):
                    found.append(run_id)
                    return await read(run_id)

                house.store.run_with_work = note
                house.dispatcher.wake()
                await house.over()

    asyncio.run(scenario())
    return found


def test_a_run_of_the_last_server_is_read(tmp_path):
    assert reads(queue_in(tmp_path), restarted=True) == ["a"]


def test_a_run_that_was_just_accepted_is_not_read(tmp_path, monkeypatch):
    async def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(Store, "run_with_work", refuse)

    assert reads(queue_in(tmp_path), restarted=False) == []


def test_a_run_that_is_withdrawn_is_forgotten(tmp_path):
    async def scenario():
        worker = Scripted()
        worker.ready = False
        async with House(queue_in(tmp_path), worker) as house:
            await house.submit("a")
            kept = len(house.dispatcher._fresh)
            await house.dispatcher.cancel("a")
            return kept, len(house.dispatcher._fresh)

    assert asyncio.run(scenario()) == (1, 0)
