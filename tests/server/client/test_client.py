"""Our Python client against a real server, over connections that break and ones that do not."""

import asyncio
import base64
import io
import json
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from nodegraph.client import (
    AsyncClient,
    Client,
    ClientError,
    ConflictError,
    NotFoundError,
    RunCancelledError,
    RunFailedError,
    TooLateError,
    UnauthorizedError,
    UnreachableError,
    WorkflowRefusedError,
)
from nodegraph.client.streams import events_in
from nodegraph.errors import UnknownFileError
from nodegraph.workflow.read import read_prompt
from tests.server.cutting import cutting
from tests.server.serving import TOYS, WORKFLOWS, install_toys, picture, serving, toy


@pytest.fixture
def client(server):
    with Client(server.url, client="tests") as client:
        yield client


TOKEN = "what-nobody-else-knows"


def walk(length, seconds=0.004):
    """A chain of nodes that each take some steps."""
    prompt = {
        str(number): {
            "class_type": "ToySteps",
            "inputs": {"a": [str(number - 1), 0] if number else 5, "count": 3, "seconds": seconds},
        }
        for number in range(length)
    }
    last = {"class_type": "ToyShow", "inputs": {"a": [str(length - 1), 0]}}
    return {**prompt, "last": last}


def kept(server, run):
    """A run's events as the server has them."""
    found, after = [], 0
    while page := server.get(f"/v1/runs/{run.id}/events?after={after}").json["events"]:
        found += [(event["id"], event["sequence"], event["name"], event["data"]) for event in page]
        after = page[-1]["id"]
    return found


def told(events):
    """The milestones among events, as `kept` has them."""
    return [(e.id, e.sequence, e.name, dict(e.data)) for e in events if e.id is not None]


def follow_with_cuts(server, cuts, length, most):
    """Submit and follow a run over connections that are cut after at most so many bytes."""
    with cutting(server.url, seed=cuts, cuts=cuts, span=(1, most)) as cutter:
        with Client(cutter.url, client="cut") as client:
            run = client.submit(walk(length))
            events = list(client.follow(run))
            ended = client.wait(run)
        assert told(events) == kept(server, run)
        assert [event.sequence for event in events if event.id] == list(
            range(1, len(told(events)) + 1)
        )
        assert events[-1].name == "run_finished"
        assert ended.status == "succeeded"
        return cutter.cuts, len(told(events))


def test_a_cut_stream_goes_on_where_it_broke_off(server):
    cuts, milestones = follow_with_cuts(server, 20, 60, most=1500)

    assert cuts >= 15
    assert milestones > 120


@pytest.mark.slow
def test_a_stream_that_is_cut_a_hundred_times_is_complete_and_in_order(server):
    cuts, milestones = follow_with_cuts(server, 110, 400, most=4000)
    print(f"{cuts} cuts, {milestones} milestones")

    assert cuts >= 100


def test_a_reply_that_is_lost_makes_no_second_run(server):
    with cutting(server.url, seed=4, cuts=25, span=(0, 1500)) as cutter:
        with Client(cutter.url, client="lost replies") as client:
            runs = [client.submit(toy(value=number)) for number in range(10)]
            for run in runs:
                client.wait(run)
        assert cutter.cuts >= 10
    listed = server.get("/v1/runs?client=lost%20replies&limit=1000").json["runs"]

    assert sorted(run["id"] for run in listed) == sorted(run.id for run in runs)


def test_a_picture_is_generated(client):
    (made,) = client.generate(picture(seed=5))

    assert Image.open(io.BytesIO(made)).size == (64, 64)


def test_everything_that_is_a_workflow_is_taken(client, tmp_path):
    prompt = picture(seed=6)
    (made,) = client.generate(prompt)
    file = tmp_path / "with workflow.png"
    file.write_bytes(made)
    text = tmp_path / "workflow.json"
    text.write_text(json.dumps(prompt))

    for workflow in (read_prompt(prompt), file, text, str(text), WORKFLOWS / "txt2img.json"):
        assert client.wait(client.submit(workflow)).status == "succeeded"


def test_a_run_is_looked_at_and_its_outputs_fetched(client, server):
    run = client.submit(picture(seed=8), priority=3)
    ended = client.wait(run)
    (output,) = client.outputs(ended)

    assert (run.status, run.client, run.priority) == ("queued", "tests", 3)
    assert ended.finished_ms >= ended.started_ms >= ended.created_ms
    assert client.fetch(output) == (server.output / output.filename).read_bytes()
    assert client.get(run.id) == ended


def test_unfinished_images_come_where_they_are_asked_for(client):
    shown = {"1": {"class_type": "ToyWatched", "inputs": {"count": 20, "seconds": 0.02}}}

    def previews(**wanted):
        run = client.submit(shown)
        return [event for event in client.follow(run, **wanted) if event.name == "preview"]

    seen = previews(previews=True)

    assert len(seen) > 10
    assert base64.b64decode(seen[0].data["image"]) == b"picture"
    assert (seen[0].data["mime"], seen[0].data["node_id"], seen[0].id) == ("image/jpeg", "1", None)
    assert previews() == []


def test_runs_and_node_types_are_listed(client):
    first, second = client.submit(toy(1)), client.submit(toy(400, 0.05))
    client.wait(first)

    assert second.id in [run.id for run in client.runs("queued", "running")]
    assert [run.id for run in client.runs(limit=2)] == [second.id, first.id]
    client.cancel(second)
    assert client.object_info()["ToySteps"]["input"]["required"]["a"] == ["INT", {"default": 0}]


def test_the_same_key_is_the_same_run(client):
    first, second = (client.submit(toy(value=1), key="only-once") for _ in range(2))

    assert first.id == second.id


def test_an_uploaded_file_has_the_name_that_is_returned(client, server, tmp_path):
    file = tmp_path / "mine.png"
    Image.new("RGB", (8, 8), "red").save(file)

    first, again = client.upload(file), client.upload(file)
    other = client.upload(b"other bytes", "mine.png", "folder")

    assert (first, again, other) == ("mine.png", "mine.png", "folder/mine.png")
    assert (server.home / "input" / first).read_bytes() == file.read_bytes()


def test_what_goes_wrong_has_a_type(client):
    with pytest.raises(WorkflowRefusedError, match="ToyStep") as refused:
        client.submit({**toy(), "1": {"class_type": "ToyStepps", "inputs": {}}})
    with pytest.raises(NotFoundError):
        client.get("no such run")
    with pytest.raises(ConflictError):
        client.retry(client.wait(client.submit(toy())))
    failing = {
        "1": {"class_type": "ToyFail", "inputs": {"a": 3}},
        "2": {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}},
    }
    with pytest.raises(RunFailedError, match="no 3") as failed:
        client.generate(failing)

    assert refused.value.problems[0].node_id == "1"
    assert (failed.value.node_id, failed.value.run.status) == ("1", "failed")
    assert [event.name for event in client.follow(failed.value.run)][-1] == "run_failed"


def test_a_cancelled_run_can_be_retried(client):
    run = client.submit(toy(steps=200, seconds=0.02))
    with pytest.raises(TooLateError):
        client.wait(run, seconds=0.1)
    client.cancel(run)
    with pytest.raises(RunCancelledError):
        client.wait(run)

    assert client.retry(run).status == "queued"
    client.cancel(run)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:9195", "ftp://x", "http://", "http://x:99999", "localhost", ""]
)
def test_what_is_no_url_is_told(url):
    with pytest.raises(ClientError, match="http or https URL"):
        Client(url)


def test_what_no_header_can_carry_is_told(client, server):
    for key in ("", "ü\n", "a b"):
        with pytest.raises(ClientError, match="the key"):
            client.submit(toy(), key=key)
    with pytest.raises(ClientError, match="the token"):
        Client(server.url, token="ü\n")


def test_a_file_that_is_not_there_is_told(client):
    with pytest.raises(UnknownFileError, match="nothing"):
        client.submit("nothing.json")
    with pytest.raises(FileNotFoundError, match="nothing"):
        client.upload("nothing.png")


def test_what_takes_too_long_to_generate_is_cancelled(client, server):
    slow = toy(steps=500, seconds=0.02)
    with pytest.raises(TooLateError) as late:
        client.generate(slow, seconds=0.3)
    with pytest.raises(RunCancelledError):
        client.wait(late.value.run_id)


def test_a_server_that_is_not_there_is_told_after_a_while():
    begun = time.monotonic()
    nowhere = "http://127.0.0.1:9"
    with (
        Client(nowhere, patience=0.5) as client,
        pytest.raises(UnreachableError, match="nodegraph serve"),
    ):
        client.get("x")
    assert 0.2 < time.monotonic() - begun < 10

    with pytest.raises(ClientError, match="closed"):
        client.get("x")


def test_the_token_is_sent_and_a_server_that_comes_back_is_awaited(tmp_path):
    install_toys(tmp_path)
    with serving(tmp_path, ("--token", TOKEN), TOYS, ready=False) as server:
        port = server.url.rpartition(":")[2]
        with Client(server.url) as stranger, pytest.raises(UnauthorizedError):
            stranger.submit(toy())
        with Client(server.url, token=TOKEN) as client:
            run = client.submit(toy())
    again = ("--token", TOKEN, "--port", port)
    found = []
    with Client(f"http://127.0.0.1:{port}", token=TOKEN) as client:
        waiting = threading.Thread(target=lambda: found.append(client.wait(run)))
        waiting.start()
        with serving(tmp_path, again, TOYS, ready=False):
            waiting.join(60)

    assert found[0].status == "succeeded"


def test_several_are_followed_at_once(server):
    async def one(client, value):
        run = await client.submit(toy(value=value))
        names = [event.name async for event in client.follow(run)]
        return names[-1], (await client.get(run)).status

    async def all_of_them():
        async with AsyncClient(server.url) as client:
            return await asyncio.gather(*(one(client, value) for value in range(8)))

    assert asyncio.run(all_of_them()) == [("run_finished", "succeeded")] * 8


def test_who_stops_following_leaves_nothing_open(client):
    run = client.submit(toy(steps=30, seconds=0.02))
    for event in client.follow(run):
        if event.name == "progress":
            break

    after = next(event for event in client.follow(run) if event.id is not None)
    following = next(event for event in client.follow(run, after=after.id) if event.id is not None)
    assert following.id > after.id
    client.wait(run)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_stream_comes_in_pieces_of_any_size(size):
    text = (
        b": hello\r\n\r\nid: 5\nevent: node_started\n"
        b'data: {"id": 5, "run": "r", "sequence": 1, "name": "node_started", "time_ms": 1,\n'
        b'data: "data": {"x": "\xc3\xbc"}}\n\nevent: position\ndata: {"position": 2}\n\n'
        b"id: 6\nevent: cut\ndata: {}\n"
    )

    async def read():
        async def pieces():
            for start in range(0, len(text), size):
                yield text[start : start + size]

        return [event async for event in events_in(pieces())]

    first, second = asyncio.run(read())
    assert (first.id, first.name, first.data) == (5, "node_started", {"x": "ü"})
    assert (second.id, second.name, second.data) == (None, "position", {"position": 2})


def test_the_example_in_the_documentation_works(server, tmp_path, monkeypatch):
    text = (Path(__file__).parents[3] / "docs/client.md").read_text()
    code = text.partition("```python\n")[2].partition("```")[0]
    assert "http://127.0.0.1:8188" in code
    monkeypatch.chdir(tmp_path)
    code = code.replace("http://127.0.0.1:8188", server.url).replace("workflows/", f"{WORKFLOWS}/")

    exec(compile(code, "docs/client.md", "exec"), {})  # noqa: S102 - it is ours

    (made,) = tmp_path.iterdir()
    with Image.open(made) as shown:
        assert shown.size == (64, 64)
