"""Queue, history, interruption and jobs, as ComfyUI's clients use them."""

import json
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from nodegraph.workflow.embedded import texts_of
from tests.server.api.comfy.listening import listening
from tests.server.serving import Server, picture, toy, until

JOB = {"id", "status", "create_time", "priority", "outputs_count"}
ENDED = JOB | {"execution_start_time", "execution_end_time"}


@contextmanager
def occupied(server: Server) -> Generator[str]:
    """Something runs, so that what is submitted has to wait; interrupted at the end."""
    run = server.submit(toy(steps=3000, seconds=0.02), client_id="occupied")
    until(lambda: [item for item in running(server) if item[1] == run])
    try:
        yield run
    finally:
        server.post("/interrupt", {"prompt_id": run})
        server.finished(run)


def running(server: Server) -> list[Any]:
    return server.get("/queue").json["queue_running"]


def pending(server: Server) -> list[str]:
    return [item[1] for item in server.get("/queue").json["queue_pending"]]


def job(server: Server, run: str) -> dict[str, Any]:
    return server.get(f"/api/jobs/{run}").json


@pytest.mark.parametrize("clear", [False, "no", 1, {}])
def test_only_true_clears(server, clear):
    kept = server.submit(toy(value=41))
    server.finished(kept)
    with occupied(server):
        waiting = server.submit(toy(value=42))
        for path in ("/queue", "/history"):
            server.post(path, {"clear": clear})

        assert waiting in pending(server)
        server.post("/queue", {"delete": [waiting]})
    assert server.get(f"/history/{kept}").json


def test_front_and_number_say_who_is_first(server):
    with occupied(server):
        first = server.submit(toy(value=1), number=1000)
        numbered = server.submit(toy(value=2), number=-0.5)
        front = server.submit(toy(value=3), front=True)
        order = pending(server)
        whole = server.get("/queue").json
        server.post("/queue", {"clear": True})

    assert order == [front, numbered, first]
    assert whole.keys() == {"queue_running", "queue_pending"}
    item = whole["queue_pending"][2]
    assert [type(part) for part in item] == [int, str, dict, dict, list]
    assert item[:3] == [1000, first, toy(value=1)]
    assert item[4] == ["2"]


def test_what_is_taken_out_of_the_queue_is_not_in_the_history(server):
    with occupied(server) as busy, listening(server, "deleted") as heard:
        deleted = server.submit(toy(value=1), client_id="deleted")
        others = [server.submit(toy(value=2)), server.submit(toy(value=3))]
        assert server.get("/prompt").json == {"exec_info": {"queue_remaining": 4}}
        assert server.post("/queue", {"delete": [deleted, busy, "nope"]}).data == b""
        assert pending(server) == others
        server.post("/queue", {"clear": True})
        assert pending(server) == []
        assert [item[1] for item in running(server)] == [busy]

    assert server.get(f"/history/{deleted}").json == {}
    assert not {deleted, *others} & server.get("/history").json.keys()
    assert job(server, deleted)["status"] == "cancelled"
    assert not heard.about(deleted)


@pytest.mark.parametrize(
    "wrong", [{"prompt_id": "nope"}, {"client_id": "nope"}, {"prompt_id": 1}, {"client_id": {}}]
)
def test_an_interruption_of_others_stops_nothing(wrong, server):
    with occupied(server) as busy:
        assert server.post("/interrupt", wrong).status == 200
        time.sleep(0.2)
        assert [item[1] for item in running(server)] == [busy]


@pytest.mark.parametrize("body", [b"", {}, {"client_id": "occupied"}])
def test_an_interruption_stops_what_runs(body, server):
    with occupied(server) as busy:
        reply = server.post("/api/interrupt", body)
        entry = server.finished(busy)

    assert (reply.status, reply.data) == (200, b"")
    assert entry["status"]["status_str"] == "error"
    assert entry["status"]["completed"] is False
    assert entry["status"]["messages"][-1][0] == "execution_interrupted"


def test_history_comes_in_pages_and_is_forgotten_when_asked(server):
    runs = [server.submit(toy(value=value)) for value in range(4)]
    for run in runs:
        server.finished(run)

    newest = list(server.get("/history?max_items=2").json)
    before = list(server.get("/history?max_items=2&offset=2").json)
    assert [*before, *newest] == runs
    assert server.post("/history", {"delete": [runs[0], "nope"]}).data == b""
    assert server.get(f"/history/{runs[0]}").json == {}
    assert server.get(f"/api/jobs/{runs[0]}").status == 404
    assert server.get(f"/history/{runs[1]}").json.keys() == {runs[1]}
    assert server.get("/history?max_items=x").status == 400


def test_only_some_outputs_run_if_only_they_are_wanted(server):
    prompt = toy(value=4) | {"3": {"class_type": "ToyShow", "inputs": {"a": 9}}}
    some = server.finished(server.submit(prompt, partial_execution_targets=["3", "77"]))
    all_of_them = server.finished(server.submit(prompt))

    assert some["outputs"] == {"3": {"text": ["9"]}}
    assert some["prompt"][4] == ["3"]
    assert all_of_them["outputs"].keys() == {"2", "3"}
    refused = server.post("/prompt", {"prompt": prompt, "partial_execution_targets": ["77"]})
    assert refused.json["error"]["type"] == "prompt_no_outputs"


def test_the_part_that_is_right_runs(server):
    prompt = toy(value=4) | {"3": {"class_type": "ToyShow", "inputs": {"a": "no number"}}}
    reply = server.post("/prompt", {"prompt": prompt})

    assert reply.status == 200
    assert reply.json["node_errors"]["3"]["errors"][0]["type"] == "invalid_input_type"
    assert server.finished(reply.json["prompt_id"])["outputs"].keys() == {"2"}


def test_extra_data_is_kept_and_the_workflow_is_in_the_picture(server):
    workflow = {"id": str(uuid.uuid4()), "nodes": [], "version": 0.4, "é": "ü"}
    extra = {"extra_pnginfo": {"workflow": workflow}, "preview_method": "none", "more": [1]}
    prompt = picture(seed=201)
    run = server.submit(prompt, client_id="c", extra_data=extra)
    entry = server.finished(run)
    (image,) = next(iter(entry["outputs"].values()))["images"]
    texts = texts_of((server.output / image["filename"]).read_bytes())

    assert json.loads(texts["workflow"]) == workflow
    assert json.loads(texts["prompt"]).keys() == prompt.keys()
    kept = entry["prompt"][3]
    assert {name: kept[name] for name in extra} == extra
    assert kept["client_id"] == "c"
    found = job(server, run)
    assert found["workflow"] == {"prompt": entry["prompt"][2], "extra_data": kept}
    assert found["workflow_id"] == workflow["id"]
    assert found["outputs"] == entry["outputs"]
    assert found["execution_status"] == entry["status"]
    node = next(iter(entry["outputs"]))
    assert found["preview_output"] == image | {"nodeId": node, "mediaType": "images"}
    assert found["outputs_count"] == 1


def test_jobs_are_listed_by_state_newest_first(server):
    done = server.submit(toy(value=1))
    server.finished(done)
    failed = server.submit(
        toy()
        | {
            "2": {"class_type": "ToyFail", "inputs": {"a": ["1", 0]}},
            "3": {"class_type": "ToyShow", "inputs": {"a": ["2", 0]}},
        }
    )
    server.finished(failed)
    with occupied(server) as busy:
        waiting = [server.submit(toy(value=2)), server.submit(toy(value=3))]
        listed = server.get("/jobs?limit=5").json
        unfinished = server.get("/api/jobs?status=pending,in_progress&limit=2&offset=1").json
        assert server.post(f"/jobs/{waiting[0]}/cancel").json == {"cancelled": True}
        assert server.post("/jobs/cancel", {"job_ids": [*waiting, busy, "nope"]}).json == {
            "cancelled": [waiting[1], busy]
        }
        server.finished(busy)

    jobs = listed["jobs"]
    assert [item["id"] for item in jobs] == [*reversed(waiting), busy, failed, done]
    states = ["pending", "pending", "in_progress", "failed", "completed"]
    assert [item["status"] for item in jobs] == states
    assert listed["pagination"] == {
        "offset": 0,
        "limit": 5,
        "total": listed["pagination"]["total"],
        "has_more": listed["pagination"]["total"] > 5,
    }
    assert [item["id"] for item in unfinished["jobs"]] == [waiting[0], busy]
    assert unfinished["pagination"] == {"offset": 1, "limit": 2, "total": 3, "has_more": False}
    keys = [JOB, JOB, JOB | {"execution_start_time"}, ENDED | {"execution_error"}, ENDED]
    assert [item.keys() for item in jobs] == keys
    assert jobs[3]["execution_error"]["node_type"] == "ToyFail"
    assert all(isinstance(item["create_time"], int) for item in jobs)
    assert jobs[4]["create_time"] <= jobs[4]["execution_start_time"]
    assert jobs[4]["execution_start_time"] <= jobs[4]["execution_end_time"]
    assert [job(server, run)["status"] for run in (*waiting, busy)] == ["cancelled"] * 3


def test_there_is_no_job_of_another_name(server):
    for reply in (server.get("/jobs/nope"), server.post("/jobs/nope/cancel")):
        assert reply.status == 404
        assert "nope" in reply.json["error"]
    assert server.get("/jobs?status=queued").status == 400
    assert server.post("/jobs/cancel", {"job_ids": "x"}).status == 400


@pytest.mark.parametrize("path", ["/prompt", "/queue", "/api/jobs", "/object_info", "/history"])
def test_the_other_methods_make_sense(path, server):
    head = server.ask("HEAD", path)

    assert (head.status, head.data) == (200, b"")
    assert head.headers["Content-Type"].startswith("application/json")
    for method in ("OPTIONS", "DELETE", "PATCH"):
        refused = server.ask(method, path)
        assert refused.status == 405
        assert "GET" in refused.headers["Allow"]
