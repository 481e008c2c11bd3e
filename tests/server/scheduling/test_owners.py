"""Two people share a server: what one has, the other does not see, nor touch, on any route."""

import asyncio
import json
import re

import aiohttp
import pytest

from tests.server.routing import routes
from tests.server.serving import TOYS, install_toys, serving, toy, until

ANN, BOB = "ann-knows-this-long-secret", "bob-knows-this-other-secret"
MARK = "anns-mark-7316"
"""Stands in everything that is Ann's, and in no request of Bob's."""
KEPT = f"{MARK}.json"
SHARED = {
    ("GET", "/features"),
    ("GET", "/healthz"),
    ("GET", "/object_info"),
    ("GET", "/object_info/{name}"),
    ("GET", "/readyz"),
    ("POST", "/free"),
}
"""Routes that are the same for everybody."""
NOT_HERE = {("GET", "/ws"), ("GET", "/login")}
"""Routes that have tests of their own."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A server that two people have tokens for."""
    home = tmp_path_factory.mktemp("owners")
    install_toys(home)
    tokens = home / "tokens"
    tokens.write_text(f"ann: {ANN}\nbob: {BOB}\n")
    tokens.chmod(0o600)
    with serving(home, ["--token-file", str(tokens)], TOYS) as running:
        yield running


def marked(steps=1, seconds=0.0):
    """A prompt that shows and saves the mark."""
    prompt = toy(steps, seconds)
    prompt["2"]["_meta"] = {"title": MARK}
    prompt["3"] = {
        "class_type": "ToyFile",
        "inputs": {"a": ["1", 0], "prefix": MARK, "megabytes": 0.0},
    }
    return prompt


class Things:
    """What Ann has: a run in each state, and files."""

    def __init__(self, ann):
        self.ann = ann
        ann.post(f"/userdata/{KEPT}", {"of": MARK})
        ann.post(f"/settings/{MARK}", MARK)
        self.done = ann.submit(marked(), client_id="anns")
        ann.finished(self.done)
        self.failed = ann.submit(
            {
                "1": {"class_type": "ToyFail", "inputs": {"a": 1}, "_meta": {"title": MARK}},
                "2": {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}},
            },
            client_id="anns",
        )
        ann.finished(self.failed)
        self.running = ann.submit(marked(steps=3000, seconds=0.02), client_id="anns")
        self.queued = ann.submit(marked(), client_id="anns")
        until(lambda: self.states()[self.running] == "running")

    @property
    def runs(self):
        return (self.done, self.failed, self.running, self.queued)

    def states(self):
        return {run["id"]: run["status"] for run in self.ann.get("/v1/runs").json["runs"]}

    def files(self):
        paths = [path for path in self.ann.home.rglob("*") if "ann" in path.parts]
        return {path: path.read_bytes() for path in paths if path.is_file()}


@pytest.fixture(scope="module")
def things(shared):
    ann = shared.of(ANN)
    found = Things(ann)
    yield found
    ann.post("/queue", {"clear": True})
    ann.post("/interrupt")


def requests(route, things, file):
    """What Bob could try on a route: Ann's ids and names, and that file's, wherever one fits."""
    paths = {re.sub(r"\{[^}]*\}", name, route.path) for name in (*things.runs, KEPT, MARK)}
    queries = ["?clientId=anns&max_items=100&status=", f"?type=output&filename=@{file}"]
    bodies = [None, {"clear": True, "delete": list(things.runs), "job_ids": list(things.runs)}]
    bodies += [{"prompt_id": run, "client_id": "anns"} for run in things.runs]
    for path in sorted(paths):
        for query in queries:
            for body in bodies if route.method != "GET" else [None]:
                yield path + query.replace("@", ""), body


def shows(reply, asked, things, files):
    """Whether a reply has something of Ann's in it that was not in the request, or is a file."""
    answer = reply.data.decode(errors="replace")
    words = [word for word in (MARK, *things.runs) if word not in asked]
    return any(word in answer for word in words) or reply.data in files


def test_on_no_route_bob_sees_or_touches_what_is_ann_s(shared, things, tmp_path):
    bob = shared.of(BOB)
    before = things.states(), things.files()
    _, files = before
    file = next(path for path in files if path.suffix == ".txt").name
    contents = set(files.values())
    seen = []
    for route in routes(tmp_path):
        if (route.method, route.path.removeprefix("/api")) in SHARED | NOT_HERE:
            continue
        for path, body in requests(route, things, file):
            reply = bob.ask(route.method, path, body)
            if shows(reply, json.dumps(body) + path, things, contents):
                seen.append((route, path, body, reply.data))

    assert seen == []
    assert (things.states(), things.files()) == before


def test_ann_sees_all_of_it(things):
    ann = things.ann
    assert MARK in ann.get("/history").data.decode()
    assert MARK in ann.get(f"/history/{things.done}").data.decode()
    queue = ann.get("/queue").json
    assert [item[1] for item in queue["queue_running"]] == [things.running]
    assert [item[1] for item in queue["queue_pending"]] == [things.queued]
    outputs = ann.get(f"/v1/runs/{things.done}/outputs").json["outputs"]
    assert ann.get(outputs[0]["url"]).status == 200
    assert ann.get(f"/v1/runs/{things.done}/events").json["events"]
    assert ann.get("/prompt").json == {"exec_info": {"queue_remaining": 2}}
    assert set(things.states()) == set(things.runs)


def test_bob_s_queue_is_his_own(shared, things):
    bob = shared.of(BOB)

    assert bob.get("/prompt").json == {"exec_info": {"queue_remaining": 0}}
    assert bob.get("/queue").json == {"queue_running": [], "queue_pending": []}
    assert bob.get("/history").json == {}
    assert bob.get("/v1/runs").json["runs"] == []


def test_without_a_token_no_route_answers(shared, tmp_path):
    asked = {
        (route, shared.ask(route.method, re.sub(r"\{[^}]*\}", "x", route.path)).status)
        for route in routes(tmp_path)
        if route.path not in ("/healthz", "/readyz")
    }

    assert {status for _, status in asked} == {401}


def test_what_bob_shows_is_his_though_ann_computed_the_same(shared, things):
    bob = shared.of(BOB)
    run = bob.submit(marked())
    until(lambda: bob.get(f"/v1/runs/{run}").json["status"] == "queued")
    things.ann.post("/interrupt")
    entry = bob.finished(run)

    (file,) = entry["outputs"]["3"]["text_files"]
    assert bob.get(f"/view?filename={file['filename']}&type=output").status == 200
    assert (bob.output / "bob" / file["filename"]).is_file()


def test_over_a_websocket_one_hears_nothing_of_the_other(shared):
    async def heard():
        headers = {"Authorization": f"Bearer {BOB}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.ws_connect(f"{shared.socket_url}?clientId=anns&since=0") as socket,
        ):
            run = await asyncio.to_thread(shared.of(ANN).submit, marked(), client_id="anns")
            await asyncio.to_thread(shared.of(ANN).finished, run)
            await asyncio.to_thread(shared.of(BOB).submit, toy(), client_id="anns")
            found = []
            while '"execution_success"' not in "".join(found):
                found.append((await socket.receive(timeout=30)).data)
            return run, found

    run, found = asyncio.run(heard())

    assert not [text for text in found if run in text]
    counts = [json.loads(text)["data"]["status"] for text in found if '"status"' in text]
    assert {count["exec_info"]["queue_remaining"] for count in counts} <= {0, 1}


def test_a_stream_of_somebody_else_s_events_is_not_there(shared, things):
    reply = shared.of(BOB).get(f"/v1/runs/{things.done}/events", Accept="text/event-stream")

    assert reply.status == 404


def test_an_idempotency_key_is_its_owner_s(shared):
    runs = [
        shared.of(token).post(
            "/v1/runs", {"workflow": toy(value=value)}, Idempotency_Key="same-key"
        )
        for token, value in ((ANN, 1), (BOB, 2), (ANN, 1))
    ]

    assert [reply.status for reply in runs] == [201, 201, 200]
    assert runs[0].json["id"] == runs[2].json["id"] != runs[1].json["id"]


def test_a_login_lets_a_browser_in_with_a_cookie_that_is_not_the_token(shared, things):
    async def asked():
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            bad = await session.get(f"{shared.url}/login?token=wrong", allow_redirects=False)
            good = await session.get(f"{shared.url}/login?token={ANN}", allow_redirects=False)
            history = await session.get(f"{shared.url}/history")
            return bad, good, await history.text()

    bad, good, history = asyncio.run(asked())

    assert (bad.status, good.status, good.headers["Location"]) == (401, 302, "/")
    assert ANN not in good.headers["Set-Cookie"]
    assert "HttpOnly" in good.headers["Set-Cookie"]
    assert "SameSite=Strict" in good.headers["Set-Cookie"]
    assert things.done in history
