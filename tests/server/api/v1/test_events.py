"""`/v1/runs/{run}/events`: pages, and a stream that survives being cut anywhere."""

import http.client
import json
import random
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.server.api.v1.test_runs import submitted
from tests.server.serving import ended, toy

STREAM = "text/event-stream"


def chain(length, steps=3):
    """A workflow of many nodes that takes a little while: many milestones, spread in time."""
    prompt = {}
    for k in range(length):
        source = {"a": [str(k - 1), 0]} if k else {"a": 0}
        inputs = {**source, "count": steps, "seconds": 0.002}
        prompt[str(k)] = {"class_type": "ToySteps", "inputs": inputs}
    prompt["show"] = {"class_type": "ToyShow", "inputs": {"a": [str(length - 1), 0]}}
    return prompt


def stream(server, run, last=None, limit=None) -> Iterator[tuple[int | None, str, dict]]:
    """Events as they come: id, name, data; the connection is cut after `limit` bytes."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    headers = {"Accept": STREAM, **({} if last is None else {"Last-Event-ID": str(last)})}
    connection.request("GET", f"/v1/runs/{run}/events", headers=headers)
    reply = connection.getresponse()
    text, taken = b"", 0
    while limit is None or taken < limit:
        piece = reply.read1(4096 if limit is None else min(4096, limit - taken))
        if not piece:
            break
        taken += len(piece)
        *whole, text = (text + piece).split(b"\n\n")
        yield from filter(None, map(parsed, whole))
    connection.close()


def parsed(block: bytes):
    """One event; None for a comment."""
    lines = [line.partition(b": ")[::2] for line in block.split(b"\n")]
    fields = {name.decode(): value.decode() for name, value in lines if name}
    if "event" not in fields:
        return None
    number = int(fields["id"]) if "id" in fields else None
    return number, fields["event"], json.loads(fields["data"])


def kept(server, run):
    """All milestones of a run, by pages."""
    found, after = [], 0
    while True:
        page = server.get(f"/v1/runs/{run}/events?limit=7&after={after}").json
        if not page["events"]:
            return found
        found += page["events"]
        after = page["last_id"]


def follow_with_cuts(server, run, cuts, chance):
    """A run's milestones over a connection that is cut `cuts` times and resumed each time."""
    heard, last, made = [], None, 0
    while True:
        limit = chance.randrange(1, 1200) if made < cuts else None
        for number, name, data in stream(server, run, last, limit):
            if number is not None:
                heard.append(data)
                last = number
                assert data["name"] == name
        made += limit is not None
        if heard and heard[-1]["name"] == "run_finished" and made >= cuts:
            return heard


def check_cuts(server, cuts, length):
    run = submitted(server, chain(length))["id"]

    heard = follow_with_cuts(server, run, cuts, random.Random(cuts))

    assert heard == kept(server, run)
    assert [event["sequence"] for event in heard] == list(range(1, len(heard) + 1))
    assert heard[-1]["name"] == "run_finished"
    return heard


def test_a_stream_that_is_cut_and_resumed_is_complete_and_in_order(server):
    check_cuts(server, 20, 40)


@pytest.mark.slow
def test_a_stream_that_is_cut_a_hundred_times_is_complete_and_in_order(server):
    print(len(check_cuts(server, 100, 150)), "milestones")


def test_progress_comes_in_between_without_an_id(server):
    run = submitted(server, toy(steps=20, seconds=0.02))["id"]

    events = list(stream(server, run))

    steps = [(data["value"], data["total"]) for _, name, data in events if name == "progress"]
    assert all(number is None for number, name, _ in events if name == "progress")
    assert steps == sorted(steps)
    assert (20, 20) in steps
    assert events[-1][1] == "run_finished"


def test_a_run_that_waits_says_where(server):
    client = uuid.uuid4().hex
    first = submitted(server, toy(steps=2000), client=client)["id"]
    run = submitted(server, toy(), client=client)["id"]

    events = stream(server, run)
    places = []
    for _, name, data in events:
        if name == "position":
            places.append(data["position"])
            server.post(f"/v1/runs/{first}/cancel")

    assert places[0] == 0
    assert ended(server, first)["status"] == "cancelled"


def test_a_stream_after_the_end_has_nothing_and_says_so(server):
    run = ended(server, submitted(server, toy())["id"])["id"]
    last = kept(server, run)[-1]["id"]

    reply = server.get(f"/v1/runs/{run}/events", Accept=STREAM, Last_Event_ID=str(last))
    again = list(stream(server, run))

    assert (reply.status, reply.data) == (204, b"")
    assert [data["id"] for _, _, data in again] == [event["id"] for event in kept(server, run)]


def test_a_number_that_is_none_is_refused(server):
    run = submitted(server, toy())["id"]

    reply = server.get(f"/v1/runs/{run}/events", Accept=STREAM, Last_Event_ID="last")

    assert (reply.status, reply.json["code"]) == (422, "bad_request")
