"""A second `nodegraph serve`, which speaks ComfyUI's dialect, as a worker."""

import pytest

from tests.nodegraph.install_pack import install
from tests.server.api.comfy.listening import listening
from tests.server.serving import ended, serving, toy, until
from tests.server.workers.comfyui.conftest import knows
from tests.server.workers.comfyui.prompts import node


@pytest.fixture(scope="module")
def front(both, tmp_path_factory):
    """A server with one node type, before the one that has the toys."""
    home = tmp_path_factory.mktemp("front")
    install(home / "packs", "own", nodes=["Own"])
    flags = ["--comfyui", f"toys={both.ours.url}"]
    with serving(home, flags, {"NODEGRAPH_PACKS": "own"}) as running:
        until(lambda: knows(running, "ToySteps"))
        yield running


def test_runs_there_with_events_and_results(front):
    with listening(front, "me") as heard:
        run = front.submit(toy(steps=3, seconds=0.05, value=4), client_id="me")
        heard.ended(run)

    found = ended(front, run)
    assert (found["status"], found["worker"]) == ("succeeded", "comfyui:toys")
    assert front.get(f"/history/{run}").json[run]["outputs"] == {"2": {"text": ["4"]}}
    assert [data["value"] for data in heard.data("progress")] == [1, 2, 3]
    assert [data["node"] for data in heard.data("executing")] == ["1", "2", None]


def test_files_are_fetched_under_our_names(front):
    saves = node("ToyFile", a=["1", 0], prefix="a/toy", megabytes=0.0)
    prompt = {"1": node("ToyNumber", value=3), "2": saves}

    runs = [ended(front, front.submit(prompt)) for _ in range(2)]

    assert [run["status"] for run in runs] == ["succeeded"] * 2
    names = {path.name for path in (front.output / "a").iterdir()}
    assert names == {"toy_00001_.txt", "toy_00002_.txt"}
    last = front.get(f"/v1/runs/{runs[1]['id']}/outputs").json["outputs"]
    assert front.get(last[0]["url"]).data == b"3\n"


def test_an_error_and_a_cancelled_run(front):
    failed = ended(
        front, front.submit({"1": node("ToyFail", a=3), "2": node("ToyShow", a=["1", 0])})
    )
    long = front.submit(toy(steps=1000))
    until(lambda: front.get(f"/v1/runs/{long}").json["status"] == "running")
    until(lambda: len(front.get(f"/v1/runs/{long}/events").json["events"]) > 2)
    front.post(f"/v1/runs/{long}/cancel")

    assert failed["error"]["code"] == "comfyui_node_failed"
    assert "no 3" in failed["error"]["message"]
    assert ended(front, long)["status"] == "cancelled"
