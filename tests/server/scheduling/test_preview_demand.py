"""Previews for those who look, positions for those who wait, and what workers write."""

import asyncio
import json

import aiohttp

from tests.server.serving import TOYS, install_toys, serving, toy, until


def watched(count=30, seconds=0.02):
    return {"1": {"class_type": "ToyWatched", "inputs": {"count": count, "seconds": seconds}}}


def seen(server, run):
    return server.finished(run)["outputs"]["1"]


def events_of(server, run):
    return [event["name"] for event in server.get(f"/v1/runs/{run}/events").json["events"]]


async def previews(server, client, run_over):
    """How many previews a client gets until a run is over; called once it listens."""
    count = 0
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.socket_url}?clientId={client}") as socket,
    ):
        await socket.receive()
        run_over()
        async for message in socket:
            count += message.type is aiohttp.WSMsgType.BINARY
            if message.type is aiohttp.WSMsgType.TEXT:
                told = json.loads(message.data)
                if told["type"] == "executing" and told["data"]["node"] is None:
                    return count
    return count


def test_nobody_looks_so_no_preview_is_made(server):
    assert seen(server, server.submit(watched(5, 0)))["seen"] == [0]
    assert seen(server, server.submit(watched(5, 0), client_id="nobody"))["seen"] == [0]


def test_previews_are_made_for_who_listens_from_the_start_or_later(server):
    runs = []
    heard = asyncio.run(
        previews(server, "early", lambda: runs.append(server.submit(watched(), client_id="early")))
    )
    assert seen(server, runs[0])["seen"] == [30]
    assert heard == 30

    late = server.submit(watched(60), client_id="late")
    until(lambda: "node_started" in events_of(server, late))
    heard = asyncio.run(previews(server, "late", lambda: None))
    assert 0 < seen(server, late)["seen"][0] < 60
    assert heard > 0


def test_a_prompt_says_how_previews_are_made(server):
    def method(wanted):
        run = server.submit(watched(1, 0), extra_data={"preview_method": wanted})
        return seen(server, run)["method"]

    assert method("taesd") == ["taesd"]
    assert method("none") == ["none"]
    assert method("default") == ["latent2rgb"]
    assert method({"no": "sense"}) == ["latent2rgb"]


def test_who_follows_a_waiting_run_is_told_its_position(server):
    busy = [server.submit(toy(steps=15, seconds=0.05)) for _ in range(3)]

    async def positions():
        found = []
        async with (
            aiohttp.ClientSession(headers={"Accept": "text/event-stream"}) as session,
            session.get(f"{server.url}/v1/runs/{busy[-1]}/events") as answer,
        ):
            event = ""
            async for line in answer.content:
                name, _, value = line.decode().strip().partition(": ")
                event = value if name == "event" else event
                if name == "data" and event == "position":
                    found.append(json.loads(value)["position"])
        return found

    found = asyncio.run(positions())
    assert found == sorted(set(found), reverse=True)
    assert found[-1] == 0
    assert 1 in found


def test_what_a_worker_writes_is_in_the_log(tmp_path):
    install_toys(tmp_path)
    flags = ("--log-format", "json", "--log-level", "toy_pack=debug")
    with serving(tmp_path, flags, TOYS) as own:
        log = tmp_path / "log.txt"
        before = log.read_text().count("\n")
        run = own.submit({"7": {"class_type": "ToySpeak", "inputs": {"text": "aloud"}}})
        own.finished(run)
        lines = until(
            lambda: (
                [
                    json.loads(line)
                    for line in log.read_text().splitlines()[before:]
                    if line.startswith("{") and "aloud" in line
                ][3:]
                and log.read_text().splitlines()[before:]
            )
        )
    told = {
        entry["message"]: entry for entry in map(json.loads, lines) if "aloud" in entry["message"]
    }

    assert set(told) == {f"{how} aloud" for how in ("logged", "whispered", "printed", "complained")}
    about = {"worker": "local", "run": run, "node": "7"}
    assert told["logged aloud"].items() >= {"room": "toy_pack", "level": "info", **about}.items()
    assert told["printed aloud"]["worker"] == "local"
