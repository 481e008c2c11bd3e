"""Actors and the server die again and again: nothing is lost or doubled; and how fast it is."""

import asyncio
import json
import random
import time
from collections import Counter

import aiohttp
import pytest

from tests.server.serving import ended, toy, until
from tests.server.store.test_kill import Clients, check_whole, read, states_of
from tests.server.workers.ray.cluster import (
    cluster,
    kill_actor_of,
    network_of_its_own,
    programs,
)

pytestmark = pytest.mark.slow
RUNS, KILLS, STEPS, CANCELS = 200, 20, 300, 30


@pytest.fixture(scope="module")
def ray(tmp_path_factory):
    with network_of_its_own(), cluster(tmp_path_factory.mktemp("kills")) as found:
        yield found


def test_twenty_killed_actors_and_a_killed_server_lose_and_double_nothing(ray):
    clients, chance = Clients(), random.Random(4)
    left = KILLS
    with ray.serving() as server:
        for _ in range(RUNS):
            clients.submit(server)
        while left > KILLS // 2:
            left -= kill_one(server, chance)
        server.kill()
    with ray.serving() as server:
        while left:
            left -= kill_one(server, chance)
        until(lambda: server.get("/prompt").json["exec_info"]["queue_remaining"] == 0, 900)
        states = states_of(ray.home, ray.home / "copy")
        clients.check_store(states)
        clients.check_files(server.output, states)
        check_whole(server.output)
    assert set(states.values()) == {"succeeded"}
    again = read(ray.home, "SELECT sum(attempts - 1) FROM runs")
    ends = Counter(states.values())
    print(f"\n{RUNS} runs, {KILLS} killed actors, 1 killed server: {ends}, {again} run again")


def kill_one(server, chance):
    """Kill the actor of a worker while something runs; 0 if the queue is empty for a moment."""
    until(lambda: server.get("/queue").json["queue_running"], 120)
    time.sleep(chance.uniform(0, 0.3))
    alive = [*programs()]
    if not alive or not server.get("/queue").json["queue_running"]:
        return 0
    try:
        kill_actor_of(chance.choice(alive))
    except (KeyError, ProcessLookupError):
        return 0
    return 1


def test_events_come_and_runs_stop_within_milliseconds(ray):
    with ray.serving() as server:
        delays = asyncio.run(delays_of(server, steps=STEPS))
        cancels = [cancel(server) for _ in range(CANCELS)]
    tell("events on Ray", delays)
    tell("cancels on Ray", cancels)


def tell(what, seconds):
    found = sorted(seconds)
    middle, last = found[len(found) // 2], found[int(len(found) * 0.99)]
    print(f"\n{len(found)} {what}: p50 {1000 * middle:.1f} ms, p99 {1000 * last:.1f} ms")


async def delays_of(server, steps):
    """The seconds from what a node shows until a client has it."""
    delays = []
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.socket_url}?clientId=me") as socket,
    ):
        await socket.receive()
        prompt = {"1": {"class_type": "ToyClock", "inputs": {"count": steps, "seconds": 0.02}}}
        await asyncio.to_thread(server.submit, prompt, client_id="me")
        async for message in socket:
            now = time.time()
            if message.type is aiohttp.WSMsgType.BINARY:
                delays.append(now - float(message.data[-17:]))
            elif json.loads(message.data)["data"].get("node", "") is None:
                return delays
    return delays


def cancel(server):
    """The seconds from a request until its run has stopped; each step takes 10 ms."""
    run = server.submit(toy(steps=3000, seconds=0.01))
    events = f"/v1/runs/{run}/events"
    until(lambda: any(e["name"] == "node_started" for e in server.get(events).json["events"]))
    began = time.monotonic()
    server.post(f"/v1/runs/{run}/cancel")
    while server.get(f"/v1/runs/{run}").json["status"] == "running":
        pass
    took = time.monotonic() - began
    assert ended(server, run)["status"] == "cancelled"
    return took
