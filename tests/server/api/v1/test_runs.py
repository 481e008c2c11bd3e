"""`/v1/runs`: what is sent, what comes of it."""

import base64
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests.server.serving import ended, picture, toy

FAILING = {
    "1": {"class_type": "ToyFail", "inputs": {"a": 5}},
    "2": {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}},
}


def submitted(server, workflow, **more):
    reply = server.post("/v1/runs", {"workflow": workflow, **more})
    assert reply.status == 201, reply.data
    return reply.json


def test_a_run_is_accepted_computed_and_its_outputs_are_fetched(server):
    reply = server.post("/v1/runs", {"workflow": picture(prefix="v1")})
    run = ended(server, reply.json["id"])

    assert reply.status == 201
    assert reply.headers["Location"] == f"/v1/runs/{run['id']}"
    assert (run["status"], run["attempts"], run["error"]) == ("succeeded", 1, None)
    (output,) = server.get(f"/v1/runs/{run['id']}/outputs").json["outputs"]
    file = server.get(output["url"])
    assert file.data == (server.output / output["filename"]).read_bytes()
    assert file.headers["Content-Type"] == "image/png"
    assert server.get(f"/v1/runs/{run['id']}/outputs/1").status == 404


def test_what_is_no_file_is_an_output_too(server):
    run = ended(server, submitted(server, toy(value=7))["id"])

    outputs = server.get(f"/v1/runs/{run['id']}/outputs").json
    assert outputs == {"outputs": [], "values": {"2": {"text": ["7"]}}}


def test_a_removed_file_is_gone(server):
    prompt = {
        "1": {"class_type": "ToyNumber", "inputs": {"value": 1}},
        "2": {
            "class_type": "ToyFile",
            "inputs": {"a": ["1", 0], "prefix": "gone", "megabytes": 0.0},
        },
    }
    run = ended(server, submitted(server, prompt)["id"])
    (output,) = server.get(f"/v1/runs/{run['id']}/outputs").json["outputs"]
    assert server.get(output["url"]).headers["Content-Disposition"].startswith("attachment")

    (server.output / output["filename"]).unlink()

    assert server.get(output["url"]).status == 404


def test_a_workflow_comes_in_a_picture(server):
    made = server.post("/v1/generate", {"workflow": picture(prefix="carrier")})

    as_it_is = server.post("/v1/runs", made.data, Content_Type="image/png")
    as_text = submitted(server, base64.b64encode(made.data).decode(), client="me")

    for run in (as_it_is.json, as_text):
        found = server.get(f"/v1/runs/{run['id']}/workflow").json
        assert {node["class_type"] for node in found["workflow"].values()} == {
            node["class_type"] for node in picture().values()
        }
        assert ended(server, run["id"])["status"] == "succeeded"


def test_a_workflow_comes_as_the_editor_saves_it(server):
    editor = {
        "version": 0.4,
        "nodes": [
            {
                "id": 1,
                "type": "ToyNumber",
                "widgets_values": [42],
                "outputs": [{"name": "INT", "type": "INT", "links": [1]}],
            },
            {"id": 2, "type": "ToyShow", "inputs": [{"name": "a", "type": "INT", "link": 1}]},
        ],
        "links": [[1, 1, 0, 2, 0, "INT"]],
    }

    run = ended(server, submitted(server, editor)["id"])

    assert server.get(f"/v1/runs/{run['id']}/outputs").json["values"] == {"2": {"text": ["42"]}}
    assert server.get(f"/v1/runs/{run['id']}/workflow").json["editor"] == editor


def test_only_the_targets_run(server):
    prompt = {**toy(value=1), "3": {"class_type": "ToyShow", "inputs": {"a": 5}}}

    run = ended(server, submitted(server, prompt, targets=["3"])["id"])

    assert server.get(f"/v1/runs/{run['id']}/outputs").json["values"] == {"3": {"text": ["5"]}}


def test_the_same_key_from_a_hundred_connections_is_one_run(server):
    body = {"workflow": toy(value=3)}
    key = uuid.uuid4().hex
    barrier = Barrier(100)

    def send(_):
        barrier.wait()
        return server.post("/v1/runs", body, Idempotency_Key=key)

    with ThreadPoolExecutor(100) as pool:
        replies = list(pool.map(send, range(100)))

    assert len({reply.json["id"] for reply in replies}) == 1
    assert sorted(reply.status for reply in replies) == [200] * 99 + [201]
    other = server.post("/v1/runs", {"workflow": toy(value=4)}, Idempotency_Key=key)
    assert (other.status, other.json["code"]) == (422, "idempotency_key_reused")


def test_the_same_id_is_the_same_run_unless_the_request_is_another(server):
    body = {"workflow": toy(value=3), "id": str(uuid.uuid4())}

    first, again = server.post("/v1/runs", body), server.post("/v1/runs", body)
    other = server.post("/v1/runs", {**body, "priority": 1})

    assert (first.status, again.status, other.status) == (201, 200, 409)
    assert first.json["id"] == again.json["id"] == body["id"]
    assert other.json["code"] == "run_exists"


def test_runs_are_listed_by_client_and_state_in_pages(server):
    client = uuid.uuid4().hex
    ids = [submitted(server, toy(value=k), client=client)["id"] for k in range(5)]
    bad = submitted(server, FAILING, client=client)["id"]
    for run in (*ids, bad):
        ended(server, run)

    found, cursor = [], ""
    while cursor is not None:
        page = server.get(
            f"/v1/runs?client={client}&status=succeeded,cancelled&limit=2{cursor}"
        ).json
        assert len(page["runs"]) <= 2
        found += [run["id"] for run in page["runs"]]
        cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None

    assert found == ids[::-1]
    (failed,) = server.get(f"/v1/runs?client={client}&status=failed").json["runs"]
    assert failed["id"] == bad
    assert (failed["error"]["code"], failed["error"]["node_id"]) == ("node_failed", "1")


def test_a_higher_priority_runs_earlier_and_the_queue_says_where_each_is(server):
    client = uuid.uuid4().hex
    running = submitted(server, toy(steps=1000), client=client)["id"]
    low = submitted(server, toy(value=1), client=client)["id"]
    high = submitted(server, toy(value=2), client=client, priority=5)["id"]

    places = [server.get(f"/v1/runs/{run}").json["position"] for run in (high, low)]
    server.post(f"/v1/runs/{running}/cancel")

    assert places == [0, 1]
    assert ended(server, running)["status"] == "cancelled"
    assert ended(server, high)["finished_ms"] <= ended(server, low)["started_ms"]


def test_a_cancelled_run_is_retried_and_a_successful_one_is_not(server):
    run = submitted(server, toy(steps=300))["id"]
    server.post(f"/v1/runs/{run}/cancel")
    assert ended(server, run)["status"] == "cancelled"

    again = server.post(f"/v1/runs/{run}/retry")

    assert (again.status, again.json["status"]) == (200, "queued")
    assert ended(server, run)["status"] == "succeeded"
    refused = server.post(f"/v1/runs/{run}/retry")
    assert (refused.status, refused.json["code"]) == (409, "wrong_state")


def test_a_run_is_forgotten_once_it_is_over(server):
    run = submitted(server, toy(steps=500))["id"]

    early = server.ask("DELETE", f"/v1/runs/{run}")
    server.post(f"/v1/runs/{run}/cancel")
    ended(server, run)
    late = server.ask("DELETE", f"/v1/runs/{run}")

    assert (early.status, late.status) == (409, 204)
    assert server.get(f"/v1/runs/{run}").status == 404


def test_everything_that_is_wrong_with_a_workflow_is_told_at_once(server):
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": -1, "height": "x"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["9", 0]}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }

    reply = server.post("/v1/runs", {"workflow": prompt})
    checked = server.post("/v1/validate", {"workflow": prompt}).json

    assert (reply.status, reply.json["code"]) == (422, "invalid_workflow")
    places = {(item["node_id"], item["input_name"]) for item in reply.json["problems"]}
    assert {("1", "width"), ("1", "height"), ("2", "images")} <= places
    assert (checked["valid"], checked["problems"]) == (False, reply.json["problems"])


def test_remarks_are_told_where_a_workflow_is_checked(server):
    prompt = {"1": {"class_type": "ToyShow", "inputs": {"a": 2, "more": 1}}}

    checked = server.post("/v1/validate", {"workflow": prompt}).json

    assert (checked["valid"], checked["problems"]) == (True, [])
    (remark,) = checked["warnings"]
    assert (remark["code"], remark["input_name"]) == ("unknown_input", "more")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "bad_json"),
        (b"", 400, "bad_json"),
        (b"[" * 100_000, 400, "bad_json"),
        (b'{"workflow": {}, "workflow": {}}', 400, "bad_json"),
        (
            b'{"workflow": {"1": {"class_type": "ToyShow", "inputs": {"a": 1, "b": NaN}}}}',
            400,
            "no_json",
        ),
        (b"[]", 422, "bad_request"),
        ({"workflow": {}, "webook": ""}, 422, "bad_request"),
        ({"workflow": toy(), "priority": "5"}, 422, "bad_request"),
        ({"workflow": toy(), "priority": True}, 422, "bad_request"),
        ({"workflow": toy(), "merge": True}, 422, "bad_request"),
        ({"workflow": toy(), "id": "no-uuid"}, 422, "bad_request"),
        ({"workflow": toy(), "client": "\ud800"}, 400, "bad_json"),
        ({"workflow": {"\ud800": {"class_type": "ToyShow", "inputs": {"a": 1}}}}, 400, "bad_json"),
        ({"workflow": "%%%"}, 422, "invalid_workflow"),
        ({"workflow": "aGVsbG8="}, 422, "invalid_workflow"),
        ({"workflow": toy(), "targets": []}, 422, "invalid_workflow"),
        ({"workflow": toy(), "targets": ["9"]}, 422, "invalid_workflow"),
    ],
)
def test_a_request_that_means_nothing_is_refused_as_a_problem(server, body, status, code):
    reply = server.post("/v1/runs", body)

    assert (reply.status, reply.json["code"]) == (status, code)
    assert reply.headers["Content-Type"].startswith("application/problem+json")
    assert reply.json["status"] == status


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/nothing", {}, 404),
        ("GET", "/v1/runs/none", {}, 404),
        ("GET", "/v1/runs/none/events", {}, 404),
        ("GET", "/v1/runs/%00%FF", {}, 404),
        ("PUT", "/v1/runs", {}, 405),
        ("GET", "/v1/runs?limit=0", {}, 422),
        ("GET", "/v1/runs?limit=1e2", {}, 422),
        ("GET", "/v1/runs?status=done", {}, 422),
        ("GET", "/v1/runs?status=", {}, 422),
        ("GET", "/v1/runs?status=failed,", {}, 422),
        ("GET", "/v1/runs?limit=1&limit=2", {}, 422),
        ("GET", "/v1/runs?cursor=99999999999999999999999", {}, 422),
        ("GET", "/v1/runs?colour=red", {}, 422),
        ("GET", "/v1/runs", {"Host": "evil.example"}, 403),
        ("POST", "/v1/runs", {"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ("POST", "/v1/runs", {"Content-Type": "image/png"}, 422),
        ("POST", "/v1/runs", {"Idempotency-Key": "two words"}, 422),
        ("POST", "/v1/runs", {"Idempotency-Key": "x" * 201}, 422),
    ],
)
def test_whatever_goes_wrong_is_a_problem(server, method, path, headers, status):
    body = json.dumps({"workflow": toy()}).encode() if method == "POST" else None

    reply = server.ask(method, path, body, headers)

    assert (reply.status, reply.json["status"]) == (status, status)
    assert reply.headers["Content-Type"].startswith("application/problem+json")
    assert reply.json["type"] == f"urn:nodegraph:{reply.json['code']}"


def test_a_body_that_is_too_large_is_a_problem(server):
    reply = server.post("/v1/runs", b" " * (100 * 2**20 + 1))

    assert (reply.status, reply.json["code"]) == (413, "request_entity_too_large")
