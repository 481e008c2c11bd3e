"""`POST /v1/generate`: a workflow in, a picture out."""

import socket
import uuid

from tests.server.api.v1.test_runs import FAILING
from tests.server.serving import ended, picture, toy, until


def test_the_picture_comes_back(server):
    reply = server.post("/v1/generate", {"workflow": picture(prefix="generated")})

    assert (reply.status, reply.headers["Content-Type"]) == (200, "image/png")
    (output,) = server.get(f"{reply.headers['Location']}/outputs").json["outputs"]
    assert reply.headers["Content-Location"] == output["url"]
    assert reply.data == (server.output / output["filename"]).read_bytes()


def test_what_takes_too_long_is_answered_with_the_run_that_goes_on(server):
    reply = server.post("/v1/generate", {"workflow": toy(steps=150)}, Prefer="wait=1")

    assert (reply.status, reply.json["status"]) == (202, "running")
    assert reply.headers["Nodegraph-Run"] == reply.json["id"]
    assert ended(server, reply.json["id"])["status"] == "succeeded"


def test_a_run_without_a_picture_is_answered_with_the_run(server):
    reply = server.post("/v1/generate", {"workflow": toy()})

    assert (reply.status, reply.json["status"]) == (200, "succeeded")


def test_a_run_that_fails_is_a_problem_that_names_the_node(server):
    reply = server.post("/v1/generate", {"workflow": FAILING})

    assert (reply.status, reply.json["code"]) == (422, "run_failed")
    assert [item["node_id"] for item in reply.json["problems"]] == ["1"]
    assert server.get(reply.headers["Location"]).json["status"] == "failed"


def test_a_run_that_is_cancelled_is_a_conflict(server):
    run = str(uuid.uuid4())
    body = {"workflow": toy(steps=3000), "id": run}
    started = server.post("/v1/generate", body, Prefer="wait=0")
    server.post(f"/v1/runs/{run}/cancel")

    reply = server.post("/v1/generate", body)

    assert (started.status, reply.status) == (202, 409)
    assert reply.json["code"] == "run_cancelled"


def test_a_run_goes_on_when_the_client_hangs_up(server):
    run = str(uuid.uuid4())
    host, port = server.url.removeprefix("http://").split(":")
    body = (
        f'{{"id": "{run}", "workflow": {{"1": {{"class_type": "ToyShow", "inputs": {{"a": 1}}}}}}}}'
    )
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /v1/generate HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}"
        connection.sendall(f"{head}\r\n\r\n{body}".encode())
        until(lambda: server.get(f"/v1/runs/{run}").status == 200)

    assert ended(server, run)["status"] == "succeeded"
