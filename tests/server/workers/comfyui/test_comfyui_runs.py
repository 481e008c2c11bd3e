"""Runs on a server of ComfyUI's dialect: sent there, watched, cancelled; their files fetched."""

import asyncio
import io
import json
import signal
import time
import uuid
from typing import Any

import aiohttp
import pytest
from PIL import Image
from yarl import URL

from nodegraph.settings.settings import Settings
from nodegraph.workflow.api_format import read_prompt
from server.workers.comfyui.addresses import ServerAddress
from server.workers.comfyui.attempts.inputs import upload_inputs
from server.workers.comfyui.connection import ComfyConnection
from server.workers.comfyui.node_types import read_node_types
from tests.server.api.comfy.listening import listening
from tests.server.serving import ended, toy, until
from tests.server.workers.comfyui.conftest import TOKEN
from tests.server.workers.comfyui.prompts import inverts, node, number, shows, steps


def run(server, prompt, **more):
    """A run of a prompt as `/v1` has it, once it is over."""
    return ended(server, server.submit(prompt, **more))


def outputs_of(server, run_id):
    return server.get(f"/history/{run_id}").json[run_id]["outputs"]


def events_of(server, run_id):
    return server.get(f"/v1/runs/{run_id}/events").json["events"]


def ask(theirs, method, path, **body) -> Any:
    """One request to their server, by somebody else."""

    async def answer():
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, theirs.url + path, json=body or None) as reply,
        ):
            return await reply.json(content_type=None) if reply.content_length else None

    return asyncio.run(answer())


def prompt_sent(theirs, run_id):
    """The prompt that their server got last."""
    return json.loads(theirs.lines("prompt")[-1][1])


def test_a_run_goes_where_its_node_types_are_and_says_why(both):
    there, here = run(both.ours, steps(5, prefix="day/five")), run(both.ours, toy())

    assert (there["status"], there["worker"], there["servers"]) == (
        "succeeded",
        "comfyui:main",
        ["main"],
    )
    assert there["why"] == "'ForeignFile' and 'ForeignSteps' are not here, but on 'main'."
    assert (here["worker"], here["servers"], here["why"]) == (
        "local",
        [],
        "All node types are here.",
    )
    queued = events_of(both.ours, there["id"])[0]
    assert (queued["name"], queued["data"]["servers"]) == ("run_queued", ["main"])
    (file,) = outputs_of(both.ours, there["id"])["2"]["text_files"]
    assert file["subfolder"] == "day"
    assert (both.ours.output / "day" / file["filename"]).read_text() == "5\n"


def test_events_are_those_of_any_worker(both):
    found = events_of(both.ours, run(both.ours, steps())["id"])

    names = [event["name"] for event in found]
    assert names == [
        *("run_queued", "run_started", "run_planned", "node_started", "node_finished"),
        *("node_started", "node_finished", "run_finished"),
    ]
    assert [event["data"].get("type_name") for event in found[3:7]] == [
        *("ForeignSteps", "ForeignSteps", "ForeignFile", "ForeignFile")
    ]
    assert found[-1]["data"] == {"executed": 2, "cached": 0}
    metrics = both.ours.get("/metrics").data.decode()
    assert 'nodegraph_node_duration_seconds_count{class_type="ForeignSteps"}' in metrics


def test_progress_and_previews_are_relayed_to_who_watches(both):
    with listening(both.ours, "watcher", flags={"supports_preview_metadata": True}) as heard:
        run_id = both.ours.submit(steps(count=4, seconds=0.05), client_id="watcher")
        heard.ended(run_id)

    progress = [data for data in heard.data("progress") if data["prompt_id"] == run_id]
    assert [(data["value"], data["max"]) for data in progress] == [(k, 4) for k in (1, 2, 3, 4)]
    assert progress[0]["node"] == "1"
    pictures = [
        Image.open(io.BytesIO(frame[frame.index(b"\xff\xd8\xff") :])) for frame in heard.binary
    ]
    assert [picture.size for picture in pictures] == [(64, 64)] * 4
    assert heard.data("executed")[0]["node"] == "2"


def test_a_server_that_chooses_ids_and_begins_before_it_tells_them_is_followed(both):
    chooses = both.theirs.folder / "chooses.txt"
    chooses.touch()
    with listening(both.ours, "chosen") as heard:
        run_id = both.ours.submit(steps(count=40, seconds=0.02), client_id="chosen")
        heard.ended(run_id)
    chooses.unlink()

    events = events_of(both.ours, run_id)
    assert [
        event["data"].get("node_id") for event in events if event["name"] == "node_started"
    ] == [*("1", "2")]
    assert [data["value"] for data in heard.data("progress")][-1] == 40


def test_progress_that_only_progress_state_has_is_relayed_too(both):
    prompt = {**steps(prefix="states"), "1": node("ForeignStates", value=1, count=3)}
    with listening(both.ours, "states") as heard:
        heard.ended(both.ours.submit(prompt, client_id="states"))

    assert [(data["value"], data["max"]) for data in heard.data("progress")] == [
        (k, 3) for k in (1, 2, 3)
    ]


def test_a_workflow_that_nobody_can_run_whole_is_refused(both):
    prompt = {"1": node("ForeignSteps", value=1, count=1, seconds=0.0)}
    prompt["2"] = node("ToyWeigh", data=["1", 0])

    reply = both.ours.post("/prompt", {"prompt": prompt})

    assert reply.status == 400
    assert reply.json["error"]["type"] == "invalid_prompt"
    assert "'ForeignSteps' is not here, and 'main'" in reply.json["error"]["message"]
    assert "lacks 'ToyWeigh'" in reply.json["error"]["message"]


def test_types_of_a_server_join_the_catalogue_and_are_marked(both):
    found = both.ours.get("/object_info").json

    assert found["ForeignSteps"]["comfyui"] == ["main"]
    assert found["ForeignSteps"]["name"] == found["ForeignSteps"]["display_name"] == "ForeignSteps"
    assert found["ForeignSteps"]["input"]["required"]["count"] == ["INT", {"default": 1, "min": 1}]
    assert "comfyui" not in found["ToyAdd"]
    assert found["ToyNumber"]["comfyui"] == ["main"]
    assert found["ToyNumber"]["python_module"] == "toy_pack.nodes"
    one = both.ours.get("/v1/node-types/ForeignSteps").json
    assert (one["servers"], [item["name"] for item in one["inputs"]]) == (
        ["main"],
        ["value", "count", "seconds"],
    )
    assert one["module"] == "comfyui:main:custom_nodes.foreign"


@pytest.mark.parametrize("name", ["given.png", "below/given.png"])
def test_input_files_are_uploaded_under_names_that_their_content_makes(both, name):
    path = both.ours.home / "input" / name
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8), (255, 0, 0)).save(path)

    found = run(both.ours, inverts(name))

    assert found["status"] == "succeeded", found["error"]
    (file,) = outputs_of(both.ours, found["id"])["2"]["images"]
    with Image.open(both.ours.output / file["filename"]) as picture:
        assert picture.getpixel((0, 0)) == (0, 255, 255)
    sent = prompt_sent(both.theirs, found["id"])["1"]["inputs"]["image"]
    assert sent.startswith("nodegraph/")
    assert "given" not in sent


def test_files_of_choices_that_are_not_listed_are_uploaded_too(both):
    (both.ours.home / "input" / "some.latent").write_bytes(bytes(77))

    found = run(both.ours, {"1": node("ForeignLatent", latent="some.latent")})

    assert outputs_of(both.ours, found["id"]) == {"1": {"size": [77]}}


def paths(path, text=""):
    """A prompt that reads a file there whose path is a text, and saves what the node was given."""
    return {
        "1": node("ForeignPath", path=path, text=text),
        "2": node("ForeignFile", value=["1", 0], prefix="paths"),
    }


@pytest.mark.parametrize(
    ("path", "start"), [("clip.srt", "nodegraph/"), ("input/below/clip.srt", "input/nodegraph/")]
)
def test_paths_in_texts_that_name_input_files_are_uploaded(both, path, start):
    (both.ours.home / "input" / "below").mkdir(exist_ok=True)
    for folder in ("", "below/"):
        (both.ours.home / "input" / f"{folder}clip.srt").write_bytes(bytes(12))

    found = run(both.ours, paths(path, text="clip.srt"))

    sent = prompt_sent(both.theirs, found["id"])["1"]["inputs"]
    (file,) = outputs_of(both.ours, found["id"])["2"]["text_files"]
    assert sent["path"].startswith(start)
    assert sent["path"].endswith(".srt")
    assert sent["text"] == "clip.srt"
    assert (both.ours.output / file["filename"]).read_text() == f"{sent['path']}: 12 clip.srt\n"


def test_a_whole_path_is_uploaded_to_a_server_on_another_machine(both, tmp_path):
    files = Settings.read({"input_dir": tmp_path}, environment={}).files()
    (tmp_path / "far.srt").write_bytes(bytes(12))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    address = ServerAddress("far", URL(both.theirs.url), headers, is_local=False)
    graph = read_prompt(paths(str(tmp_path / "far.srt")))

    async def sent():
        there = ComfyConnection(address, "somebody")
        try:
            _, described = await there.object_info() or (b"", {})
            types = read_node_types(described, "far", {}).registry.catalog
            return await upload_inputs(graph, types, files, there)
        finally:
            await there.close()

    path = asyncio.run(sent())["1"]["inputs"]["path"]
    assert path.startswith("input/nodegraph/")
    assert path.endswith(".srt")


@pytest.mark.parametrize(
    "path", ["nowhere.srt", "../log.txt", "given", "model.pt", "{home}/input/given.png"]
)
def test_texts_that_name_no_file_to_upload_stay_as_they_are(both, path):
    for name in ("given", "model.pt", "given.png"):
        (both.ours.home / "input" / name).write_bytes(b"x")
    path = path.format(home=both.ours.home)

    found = run(both.ours, paths(path))

    assert prompt_sent(both.theirs, found["id"])["1"]["inputs"]["path"] == path
    assert found["status"] == "succeeded"


def test_a_name_for_a_new_file_stays_though_there_is_such_an_input_file(both):
    (both.ours.home / "input" / "given.png").write_bytes(b"x")

    found = run(both.ours, steps(prefix="given.png"))

    assert prompt_sent(both.theirs, found["id"])["2"]["inputs"]["prefix"] == "given.png"


def test_a_file_that_only_the_server_has_keeps_its_name_and_is_shown(both):
    Image.new("RGB", (8, 8)).save(both.ours.home / "input" / "given.png")
    found = run(both.ours, inverts("theirs.png"))
    shown = both.ours.get("/view?filename=theirs.png&type=input")

    assert prompt_sent(both.theirs, found["id"])["1"]["inputs"]["image"] == "theirs.png"
    assert found["status"] == "succeeded"
    with Image.open(io.BytesIO(shown.data)) as picture:
        assert picture.getpixel((0, 0)) == (0, 0, 255)
    assert shown.headers["Content-Type"] == "image/png"
    run(both.ours, inverts("given.png"))
    uploaded = prompt_sent(both.theirs, found["id"])["1"]["inputs"]["image"].partition("/")[2]
    for name in ("none.png", "../theirs.png", f"{uploaded}&subfolder=nodegraph"):
        assert both.ours.get(f"/view?filename={name}&type=input").status in (400, 403, 404)
    assert both.ours.get("/view?filename=theirs.png&type=output").status == 404


def test_an_output_of_ours_is_uploaded_as_an_input(both):
    Image.new("RGB", (8, 8), (0, 255, 0)).save(both.ours.output / "mine.png")

    found = run(both.ours, inverts("mine.png [output]"))

    (file,) = outputs_of(both.ours, found["id"])["2"]["images"]
    with Image.open(both.ours.output / file["filename"]) as picture:
        assert picture.getpixel((0, 0)) == (255, 0, 255)


def test_only_what_the_targets_need_is_sent(both):
    prompt = {**steps(), "3": node("ForeignFail", value=1), "4": node("ForeignSteps")}

    found = run(both.ours, prompt, partial_execution_targets=["2"])

    assert found["status"] == "succeeded"
    sent = prompt_sent(both.theirs, found["id"])
    assert [*sent] == ["1", "2"]


def test_a_node_that_fails_there_is_told_as_one_that_fails_here(both):
    with listening(both.ours, "unlucky") as heard:
        run_id = both.ours.submit({"1": node("ForeignFail", value=3)}, client_id="unlucky")
        heard.ended(run_id)

    error = both.ours.get(f"/v1/runs/{run_id}").json["error"]
    assert (error["code"], error["node_id"]) == ("comfyui_node_failed", "1")
    assert error["message"] == "ForeignFail failed on the ComfyUI server 'main': no 3"
    (data,) = heard.data("execution_error")
    assert (data["exception_type"], data["node_type"]) == ("ValueError", "ForeignFail")
    assert data["traceback"] == ["line 1\n"]


def test_a_prompt_that_the_server_refuses_fails_with_its_words(both):
    saves = node("SaveImage", images=["1", 0], filename_prefix="x")
    prompt = {"1": node("ForeignModel", name="none"), "2": saves}

    error = run(both.ours, prompt)["error"]

    assert (error["code"], error["node_id"]) == ("comfyui_refused", "1")
    assert "node 1: Value not in list: name" in error["message"]


def test_cancelling_interrupts_the_prompt_and_nobody_else_s(both):
    first = both.ours.submit(steps(count=1000))
    until(lambda: ask(both.theirs, "GET", "/queue")["queue_running"])
    other = ask(both.theirs, "POST", "/prompt", prompt=steps(count=30), client_id="somebody")
    waits = both.ours.submit(steps(count=1000))

    both.ours.post(f"/v1/runs/{first}/cancel")
    assert ended(both.ours, first)["status"] == "cancelled"
    until(lambda: ask(both.theirs, "GET", "/queue")["queue_pending"])
    both.ours.post(f"/v1/runs/{waits}/cancel")

    assert ended(both.ours, waits)["status"] == "cancelled"
    name = other["prompt_id"]
    entry = until(lambda: ask(both.theirs, "GET", f"/history/{name}").get(name))
    assert entry["status"]["status_str"] == "success"
    assert ask(both.theirs, "GET", "/queue") == {"queue_running": [], "queue_pending": []}


@pytest.mark.parametrize(("path", "status"), [("/prompt", 503), ("/queue", 500), ("/view", 504)])
def test_a_server_that_is_not_well_for_a_moment_is_asked_again(both, path, status):
    with both.theirs.unwell(path, status):
        run_id = both.ours.submit(steps(5, prefix="unwell"))
        time.sleep(0.6)

    found = ended(both.ours, run_id)
    assert (found["status"], found["attempts"]) == ("succeeded", 1)
    name = outputs_of(both.ours, run_id)["2"]["text_files"][0]["filename"]
    assert (both.ours.output / name).read_text() == "5\n"


def test_a_run_is_cancelled_once_the_server_is_well_again_though_it_tells_progress(both):
    run_id = both.ours.submit(steps(count=1000))
    until(lambda: ask(both.theirs, "GET", "/queue")["queue_running"])

    with both.theirs.unwell("/history", 500):
        both.ours.post(f"/v1/runs/{run_id}/cancel")
        time.sleep(0.6)

    assert ended(both.ours, run_id, 8)["status"] == "cancelled"


@pytest.mark.parametrize(("status", "hint"), [(413, "--max-upload-size"), (401, "comfyui_headers")])
def test_what_the_server_does_not_take_fails_with_what_to_do(both, status, hint):
    with both.theirs.unwell("/prompt", status):
        error = run(both.ours, steps())["error"]

    assert error["code"] == "comfyui_answer"
    assert f"POST /prompt was answered with status {status}" in error["message"]
    assert hint in error["hint"]


def test_a_prompt_that_somebody_else_stops_fails_and_says_so(both):
    run_id = both.ours.submit(steps(count=1000))
    until(lambda: ask(both.theirs, "GET", "/queue")["queue_running"])

    ask(both.theirs, "POST", "/interrupt")

    error = ended(both.ours, run_id)["error"]
    assert error["code"] == "comfyui_interrupted"
    again = both.ours.post(f"/v1/runs/{run_id}/retry")
    assert again.status == 200
    until(lambda: ask(both.theirs, "GET", "/queue")["queue_running"])
    both.ours.post(f"/v1/runs/{run_id}/cancel")
    assert ended(both.ours, run_id)["status"] == "cancelled"


def test_a_run_that_both_can_do_goes_where_it_prefers(both):
    here = run(both.ours, number(3))
    there = run(both.ours, number(3), extra_data={"prefer": "comfyui"})
    body = {"workflow": number(3), "prefer": "comfyui"}
    asked = both.ours.post("/v1/validate", body).json

    assert here["worker"] == "local"
    assert there["worker"] == "comfyui:main"
    assert there["why"] == "ComfyUI is preferred, and 'main' has all node types."
    assert (asked["servers"], asked["why"]) == (["main"], there["why"])
    shown = [outputs_of(both.ours, one["id"])["2"]["text"] for one in (here, there)]
    assert shown == [["3"], ["3 there"]]
    assert "prefer" not in str(both.theirs.lines("prompt")[-1])


def test_the_same_request_is_the_same_run(both):
    name, body = str(uuid.uuid4()), {"workflow": steps(9)}

    answers = [both.ours.post("/v1/runs", body, Idempotency_Key=name) for _ in range(2)]

    assert [answer.status for answer in answers] == [201, 200]
    found = ended(both.ours, answers[0].json["id"])
    assert found["status"] == "succeeded"


EVIL = {
    "output|../../..|../../../evil.txt": "a",
    "output|/etc|passwd": "b",
    "output|.hidden|.bashrc": "c",
    "output||a\x00b\n.txt": "d",
    "temp||%year%.html": "e",
    f"output||{'é' * 300}.txt": "f",
    "input||CON:x.txt": "g",
}


def test_names_of_a_hostile_server_lead_nowhere(both):
    keys = [name.split("|") for name in EVIL]
    items = [{"type": t, "subfolder": s, "filename": n, "fullpath": "/x"} for t, s, n in keys]

    found = run(both.ours, shows({"files": items, "text": "hi"}, EVIL))

    assert found["status"] == "succeeded", found["error"]
    shown = outputs_of(both.ours, found["id"])["1"]
    assert shown["text"] == ["hi"]
    roots = {"output": both.ours.output, "temp": both.ours.home / "temp"}
    for item, text in zip(shown["files"], EVIL.values(), strict=True):
        path = roots[item["type"]] / item["subfolder"] / item["filename"]
        assert path.read_text() == text
        assert path.resolve().is_relative_to(roots[item["type"]].resolve())
        assert not any(part.startswith(".") for part in (item["subfolder"], item["filename"]))
        assert "fullpath" not in item
    assert {item["type"] for item in shown["files"]} == {"output", "temp"}
    assert len(both.ours.get(f"/v1/runs/{found['id']}/outputs").json["outputs"]) == len(EVIL)


def test_a_picture_that_is_none_is_not_taken_over(both):
    item = {"type": "output", "subfolder": "", "filename": "page.png"}

    error = run(both.ours, shows({"images": [item]}, {"output||page.png": "<script>"}))["error"]

    assert error["code"] == "comfyui_file"
    assert "is not what its name says" in error["message"]
    assert not list(both.ours.output.glob("page*"))


def test_a_file_that_the_server_does_not_have(both):
    def item(kind):
        return {"type": kind, "subfolder": "", "filename": "nowhere.png"}

    without = run(both.ours, shows({"images": [item("temp")], "text": ["a"]}))
    failed = run(both.ours, shows({"images": [item("output")]}))

    assert outputs_of(both.ours, without["id"])["1"] == {"images": [], "text": ["a"]}
    assert failed["error"]["code"] == "comfyui_answer"
    assert "GET /view was answered with status 404" in failed["error"]["message"]


def test_an_output_that_is_too_long_is_left_out(both):
    found = run(both.ours, shows({"text": ["x" * 2_000_000]}))

    assert outputs_of(both.ours, found["id"])["1"] == {"text": ["more than 1 MiB, left out"]}


def test_memory_is_freed_there_too(both):
    both.ours.post("/free", {"unload_models": True})

    (line,) = until(lambda: both.theirs.lines("free"))
    assert "unload_models" in str(line)


def test_the_secret_is_shown_nowhere(both):
    failed = both.ours.submit({"1": node("ForeignFail", value=3)})
    ended(both.ours, failed)
    time.sleep(0.1)

    pages = ["/object_info", "/metrics", "/system_stats", f"/v1/runs/{failed}", "/settings"]
    texts = [both.ours.get(page).data.decode() for page in pages]
    texts.append((both.ours.home / "log.txt").read_text())
    files = [path for path in (both.ours.home / "data").rglob("*") if path.is_file()]
    texts += [path.read_bytes().decode(errors="replace") for path in files]
    assert not [text for text in texts if TOKEN in text]


def test_a_server_that_answers_nothing_does_not_hold_up_cancelling(both):
    run_id = both.ours.submit(steps(count=1000))
    until(lambda: ask(both.theirs, "GET", "/queue")["queue_running"])

    both.theirs.process.send_signal(signal.SIGSTOP)
    begin = time.monotonic()
    reply = both.ours.post(f"/v1/runs/{run_id}/cancel")
    seconds = time.monotonic() - begin
    both.theirs.process.send_signal(signal.SIGCONT)

    assert reply.status == 200
    assert seconds < 5
    assert ended(both.ours, run_id)["status"] == "cancelled"
