"""`/ws?since=`: a connection that is cut at random and resumed misses nothing."""

import asyncio
import json
import uuid

import aiohttp
import pytest

from tests.server.client.test_client import walk
from tests.server.cutting import cutting

PASSING = ("status", "feature_flags", "progress")


def is_milestone(message):
    """Whether a message comes again after a break."""
    name, data = message["type"], message["data"]
    steps = name == "progress_state" and any(
        node["state"] == "running" and node["value"] > 0 for node in data["nodes"].values()
    )
    return name not in PASSING and not steps


async def listen(url, client, started):
    """A client's messages until a run is over; goes on where connections broke off."""
    kept, since = [], 0
    async with aiohttp.ClientSession() as session:
        while True:
            heard = []
            try:
                address = f"{url}/ws?clientId={client}&since={since}"
                async with session.ws_connect(address, compress=0) as socket:
                    async for frame in socket:
                        started.set()
                        if frame.type is aiohttp.WSMsgType.TEXT:
                            message = json.loads(frame.data)
                            heard += [message] if is_milestone(message) else []
                            if "seq" in message:
                                kept, heard, since = [*kept, *heard], [], message["seq"]
                                if message["data"].get("node", "") is None:
                                    return kept
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.005)


def check_cuts(server, cuts, length):
    client = uuid.uuid4().hex

    async def both(url):
        one, two = asyncio.Event(), asyncio.Event()
        listening = [
            asyncio.create_task(listen(url, client, one)),
            asyncio.create_task(listen(server.url, client, two)),
        ]
        await two.wait()
        prompt = walk(length)
        await asyncio.to_thread(server.submit, prompt, client_id=client)
        return await asyncio.gather(*listening)

    with cutting(server.url, seed=cuts, cuts=cuts, span=(200, 4000)) as cutter:
        cut, whole = asyncio.run(both(cutter.url))

    assert cut == whole
    assert [message["type"] for message in cut].count("execution_start") == 1
    numbers = [message["seq"] for message in cut if "seq" in message]
    assert numbers == sorted(set(numbers))
    return cutter.cuts, len(numbers)


def test_a_socket_that_is_cut_and_resumed_is_complete_and_in_order(server):
    cuts, milestones = check_cuts(server, 20, 60)

    assert cuts >= 15
    assert milestones > 120


@pytest.mark.slow
def test_a_socket_that_is_cut_a_hundred_times_is_complete_and_in_order(server):
    cuts, milestones = check_cuts(server, 130, 400)
    print(f"{cuts} cuts, {milestones} milestones")

    assert cuts >= 100
