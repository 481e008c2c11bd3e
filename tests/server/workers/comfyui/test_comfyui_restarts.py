"""ComfyUI servers that come late, get two runs at once, die and come back, and ours that does."""

import json
import urllib.request
from typing import NamedTuple

import pytest

from tests.server.api.comfy.listening import listening
from tests.server.serving import TOYS, Reply, Server, ended, install_toys, serving, until
from tests.server.workers.comfyui.conftest import knows
from tests.server.workers.comfyui.dialect import DialectServer
from tests.server.workers.comfyui.prompts import steps

STATES = ("running", "pending")


class Late(NamedTuple):
    """Our server, theirs, and how ours answered before theirs was there."""

    ours: Server
    theirs: DialectServer
    refused: Reply
    log: str


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    home = tmp_path_factory.mktemp("late")
    install_toys(home)
    theirs = DialectServer(home / "theirs")
    theirs.start()
    theirs.kill()
    flags = ["--comfyui", f"late={theirs.url}", "--comfyui-slots", "2"]
    with serving(home, flags, TOYS) as ours:
        refused = ours.post("/prompt", {"prompt": steps()})
        log = (home / "log.txt").read_text()
        with theirs.unwell("/extensions", 500):
            theirs.start()
            until(lambda: knows(ours, "ForeignSteps"))
        yield Late(ours, theirs, refused, log)
    theirs.kill()


def is_running(theirs):
    """Whether theirs has begun a prompt that has not ended."""
    return len(theirs.lines("begin")) > len(theirs.lines("end"))


def die(theirs):
    """End theirs in the middle of a prompt, and start it again."""
    until(lambda: is_running(theirs))
    theirs.kill()
    (theirs.folder / "log.txt").write_text("")
    theirs.start()


def files_of(server: Server):
    return sorted(path.read_text() for path in server.output.rglob("*.txt"))


def test_a_server_that_is_not_there_is_waited_for(late):
    assert late.refused.json["error"]["type"] == "invalid_prompt"
    hint = late.refused.json["error"]["details"]
    assert "The ComfyUI server 'late' can not be reached, and may have it." in hint
    text = f"ComfyUI late ({late.theirs.url}) can not be reached, and joins when it can"
    assert text in late.log
    assert ended(late.ours, late.ours.submit(steps(2, prefix="late")))["status"] == "succeeded"


def queue_of(theirs: DialectServer) -> tuple[list[str], list[str]]:
    """The ids of the prompts that theirs computes and that wait there."""
    with urllib.request.urlopen(f"{theirs.url}/queue") as reply:
        found = json.load(reply)
    running, pending = ([item[1] for item in found[f"queue_{key}"]] for key in STATES)
    return running, pending


def test_the_second_run_waits_there_and_can_be_cancelled_alone(late):
    with listening(late.ours, "first") as first, listening(late.ours, "second") as second:
        one = late.ours.submit(steps(count=40, seconds=0.05), client_id="first")
        until(lambda: queue_of(late.theirs)[0])
        two, three = (late.ours.submit(steps(k), client_id="second") for k in (2, 3))
        running, (waiting,) = until(lambda: all(queue_of(late.theirs)) and queue_of(late.theirs))
        states = [late.ours.get(f"/v1/runs/{run}").json["status"] for run in (one, two, three)]
        late.ours.post(f"/v1/runs/{two}/cancel")
        cancelled = ended(late.ours, two)
        (follows,) = until(lambda: queue_of(late.theirs)[1])
        still, _ = queue_of(late.theirs)
        first.ended(one)
        second.ended(three)

    assert states == ["running", "running", "queued"]
    assert cancelled["status"] == "cancelled"
    assert still == running
    assert follows != waiting
    assert waiting not in late.theirs.begun()
    assert [ended(late.ours, run)["status"] for run in (one, three)] == ["succeeded"] * 2
    assert {data["prompt_id"] for data in first.data("progress")} == {one}
    assert [data["max"] for data in first.data("progress")] == [40] * 40
    assert {data["prompt_id"] for data in second.data("progress")} == {three}


@pytest.mark.slow
def test_two_runs_whose_server_dies_run_again(late):
    runs = [late.ours.submit(steps(k, count=60, seconds=0.02, prefix="both")) for k in (1, 2)]
    until(lambda: all(queue_of(late.theirs)))

    die(late.theirs)

    found = [ended(late.ours, run) for run in runs]
    assert [(run["status"], run["attempts"]) for run in found] == [("succeeded", 2)] * 2
    assert sorted(path.read_text() for path in late.ours.output.glob("both*")) == ["1\n", "2\n"]


def test_a_run_whose_server_dies_runs_again(late):
    run = late.ours.submit(steps(1, count=60, seconds=0.02, prefix="again"))

    late.theirs.set_models("red.safetensors", "blue.safetensors")
    die(late.theirs)

    found = ended(late.ours, run)
    assert (found["status"], found["attempts"]) == ("succeeded", 2)
    events = late.ours.get(f"/v1/runs/{run}/events").json["events"]
    reasons = [event["data"]["reason"] for event in events if event["name"] == "run_requeued"]
    assert reasons == ["ComfyUI late was restarted"]
    assert len(list(late.ours.output.glob("again*"))) == 1
    described = late.ours.get("/object_info/ForeignModel").json["ForeignModel"]
    assert described["input"]["required"]["name"][0] == ["red.safetensors", "blue.safetensors"]


@pytest.mark.slow
def test_a_run_that_kills_its_server_three_times_is_parked(late):
    run = late.ours.submit(steps(count=1000))

    for _ in range(3):
        die(late.theirs)

    error = ended(late.ours, run)["error"]
    assert error["code"] == "run_parked"
    assert "ComfyUI late was restarted" in error["message"]


def test_after_our_own_death_a_run_goes_on_where_it_is(tmp_path):
    install_toys(tmp_path)
    theirs = DialectServer(tmp_path / "theirs")
    theirs.start()
    flags = ["--comfyui", f"main={theirs.url}"]
    with serving(tmp_path, flags, TOYS, ready=False) as ours:
        until(lambda: knows(ours, "ForeignSteps"))
        runs = [ours.submit(steps(1, count=80, seconds=0.1)), ours.submit(steps(2))]
        until(lambda: is_running(theirs))
        ours.kill()
    with serving(tmp_path, flags, TOYS, ready=False) as ours:
        found = [ended(ours, run) for run in runs]
        files = files_of(ours)
    theirs.kill()

    assert [run["status"] for run in found] == ["succeeded", "succeeded"]
    assert [run["attempts"] for run in found] == [2, 1]
    assert set(theirs.begun().values()) == {1}
    assert len(theirs.begun()) == 2
    assert files == ["1\n", "2\n"]
