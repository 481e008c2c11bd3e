"""The dispatcher gives runs to workers by the models that these have in memory."""

import asyncio

from server.scheduling import dispatcher as dispatching
from tests.server.postgres import queue_in
from tests.server.scheduling.test_dispatcher import House, Scripted

A, B = {"a.safetensors": 9 * 10**9}, {"b.safetensors": 9 * 10**9}


def workers():
    first, second = Scripted("first"), Scripted("second")
    first.models, second.models = [*A], [*B]
    return first, second


def begun(*found):
    return {worker.name: [*worker.begun] for worker in found}


def test_a_run_goes_to_the_worker_that_has_its_models(tmp_path):
    async def scenario():
        first, second = workers()
        async with House(queue_in(tmp_path), first, second) as house:
            await house.submit("b1", client="x", models=B)
            await house.over()
            await house.submit("a1", client="y", models=A)
            await house.over()
        return begun(first, second)

    assert asyncio.run(scenario()) == {"first": ["a1"], "second": ["b1"]}


def test_a_run_waits_for_the_worker_that_has_its_models_until_that_is_late(tmp_path, monkeypatch):
    monkeypatch.setattr(dispatching, "HELD", 0.01)

    async def scenario():
        first, second = workers()
        async with House(queue_in(tmp_path), first, second) as house:
            house.dispatcher.placing.estimates.note_run(1.0)
            await house.submit("long", client="x", models=B, steps=10**6)
            await house.busy()
            await house.submit("b1", client="y", models=B)
            await asyncio.sleep(0.05)
            early = begun(first, second)
            await house.over()
        return early, begun(first, second)

    early, late = asyncio.run(scenario())
    assert early == {"first": [], "second": ["long"]}
    assert late == {"first": ["b1"], "second": ["long"]}


def test_what_waits_keeps_its_models_when_the_server_starts_again(tmp_path):
    async def scenario():
        first, second = workers()
        first.ready = second.ready = False
        async with House(queue_in(tmp_path), first, second) as house:
            await house.submit("b1", models=B)
        first, second = workers()
        async with House(queue_in(tmp_path), first, second) as house:
            await house.over()
        return begun(first, second)

    assert asyncio.run(scenario()) == {"first": [], "second": ["b1"]}
