"""What a client hears over its WebSocket: which messages, of which shape, in which order."""

import json
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.server.api.comfy.listening import listening
from tests.server.serving import picture, toy

RECORDED = json.loads((Path(__file__).parents[3] / "data" / "comfyui_behaviour.json").read_text())
EXAMPLES = RECORDED["example_events"]


def adding(values: list[int]) -> dict[str, Any]:
    """A chain of additions that starts at a number; each value is one of its summands."""
    prompt: dict[str, Any] = {"0": {"class_type": "ToyNumber", "inputs": {"value": 0}}}
    for place, value in enumerate(values, 1):
        inputs = {"a": [str(place - 1), 0], "b": value}
        prompt[str(place)] = {"class_type": "ToyAdd", "inputs": inputs}
    prompt["show"] = {"class_type": "ToyShow", "inputs": {"a": [str(len(values)), 0]}}
    return prompt


def test_the_first_messages_are_the_status_and_the_features(server):
    with listening(server, "first") as heard:
        first, second = heard.messages[:2]

    remaining = first["data"]["status"]["exec_info"]["queue_remaining"]
    assert first == {
        "type": "status",
        "data": {"status": {"exec_info": {"queue_remaining": remaining}}, "sid": "first"},
    }
    assert second["type"] == "feature_flags"
    assert second["data"]["supports_preview_metadata"] is True
    assert second["data"] == server.get("/features").json


def test_who_gives_no_id_gets_one(server):
    with listening(server) as one, listening(server) as other:
        ids = [heard.messages[0]["data"]["sid"] for heard in (one, other)]

    assert all(ids)
    assert ids[0] != ids[1]


def test_a_picture_is_told_as_comfyui_tells_it(server):
    with listening(server, "picture") as heard:
        run = server.submit(picture(seed=101), client_id="picture")
        about = heard.ended(run)
        heard.until(lambda: heard.names()[-1] == "status")

    names = [item["type"] for item in about]
    assert names[:3] == ["execution_start", "execution_cached", "executing"]
    assert names[-2:] == ["execution_success", "executing"]
    assert set(names) == set(EXAMPLES) - {"status"}
    for item in about[:-1]:
        assert item["data"].keys() == EXAMPLES[item["type"]]["data"].keys()
    states = [node for item in heard.data("progress_state") for node in item["nodes"].values()]
    assert all(len(item["nodes"]) == 1 for item in heard.data("progress_state"))
    expected = next(iter(EXAMPLES["progress_state"]["data"]["nodes"].values()))
    assert all(state.keys() == expected.keys() for state in states)
    assert {state["state"] for state in states} == {"running", "finished"}
    assert heard.data("status")[-1] == EXAMPLES["status"]["data"] | {
        "status": {"exec_info": {"queue_remaining": 0}}
    }


def test_times_are_milliseconds_of_now(server):
    with listening(server, "times") as heard:
        about = heard.ended(server.submit(toy(value=3), client_id="times"))

    times = [item["data"]["timestamp"] for item in about if "timestamp" in item["data"]]
    assert len(times) == 3
    assert all(0 <= later - earlier < 60_000 for earlier, later in pairwise(times))
    assert times[0] > 1_700_000_000_000


def test_what_is_cached_is_told_at_once_and_shown_again(server):
    prompt = adding([1, 2, 3])
    server.finished(server.submit(prompt))
    with listening(server, "cached") as heard:
        again = heard.ended(server.submit(prompt, client_id="cached"))
        more = heard.ended(server.submit(adding([1, 2, 4]), client_id="cached"))

    assert [item["type"] for item in again] == [
        *("execution_start", "execution_cached", "executed"),
        *("execution_success", "executing"),
    ]
    assert sorted(again[1]["data"]["nodes"]) == sorted(prompt)
    assert again[2]["data"]["output"] == {"text": ["6"]}
    assert sorted(more[1]["data"]["nodes"]) == ["0", "1", "2"]
    assert [item["data"]["node"] for item in more if item["type"] == "executing"] == [
        *("3", "show", None),
    ]


def test_the_editor_which_counts_what_is_done_hears_of_each_node(server):
    prompt = adding([21, 22])
    with (
        listening(server, "editor", flags={"supports_manager_v4_ui": True}) as editor,
        listening(server, "editor") as library,
    ):
        run = server.submit(prompt, client_id="editor")
        told, plain = editor.ended(run), library.ended(run)

    cached = [item["data"]["nodes"] for item in told if item["type"] == "execution_cached"]
    assert [node for nodes in cached for node in nodes] == ["0", "1", "2"]
    assert cached[-2:] == [["1"], ["2"]]
    assert [item["data"]["node"] for item in told if item["type"] == "executed"] == ["show"]
    assert sum(item["type"] == "execution_cached" for item in plain) == 1


def test_others_hear_of_the_queue_only(server):
    with listening(server, "mine") as mine, listening(server, "theirs") as theirs:
        own = server.submit(toy(value=11), client_id="mine")
        nobodys = server.submit(toy(value=12))
        mine.ended(own)
        server.finished(nobodys)
        mine.until(lambda: mine.names()[-1] == "status")

    assert mine.about(own)
    assert not mine.about(nobodys)
    assert set(theirs.names()) <= {"status", "feature_flags"}


def test_a_failure_is_told_with_what_the_node_was_given(server):
    prompt = {
        "1": {"class_type": "ToyNumber", "inputs": {"value": 5}},
        "2": {"class_type": "ToyFail", "inputs": {"a": ["1", 0]}},
        "3": {"class_type": "ToyShow", "inputs": {"a": ["2", 0]}},
    }
    with listening(server, "fails") as heard:
        about = heard.ended(server.submit(prompt, client_id="fails"))

    error = about[-2]["data"]
    assert about[-2]["type"] == "execution_error"
    assert (error["node_id"], error["node_type"]) == ("2", "ToyFail")
    assert (error["exception_type"], error["executed"]) == ("ValueError", ["1"])
    assert error["current_inputs"] == {"a": ["output 0 of node '1'"]}
    assert any("raise ValueError" in line for line in error["traceback"])
    assert error["current_outputs"] == ["1"]


def test_a_failing_node_is_named_to_who_came_late(server):
    prompt = {
        "1": {"class_type": "ToySteps", "inputs": {"a": 0, "count": 10, "seconds": 0.1}},
        "2": {"class_type": "ToyFail", "inputs": {"a": ["1", 0]}},
        "3": {"class_type": "ToyShow", "inputs": {"a": ["2", 0]}},
    }
    run = server.submit(prompt, client_id="late")
    with listening(server, "late") as heard:
        about = heard.ended(run)

    (error,) = [item["data"] for item in about if item["type"] == "execution_error"]
    assert (error["node_type"], error["executed"]) == ("ToyFail", ["1"])


def test_an_interruption_is_told_with_the_node(server):
    with listening(server, "stops") as heard:
        run = server.submit(toy(steps=3000, seconds=0.02), client_id="stops")
        heard.until(lambda: heard.data("progress"))
        assert server.post("/interrupt").data == b""
        about = heard.ended(run)
    entry = server.finished(run)

    assert about[-2]["type"] == "execution_interrupted"
    expected = RECORDED["interrupt"]["last"][1]
    assert about[-2]["data"].keys() == expected.keys()
    assert (about[-2]["data"]["node_id"], about[-2]["data"]["node_type"]) == ("1", "ToySteps")
    assert entry["status"]["status_str"] == RECORDED["interrupt"]["status"]
    assert entry["status"]["messages"][-1] == ["execution_interrupted", about[-2]["data"]]


def test_previews_come_in_the_form_that_the_client_knows(server):
    with (
        listening(server, "new", flags={"supports_preview_metadata": True}) as new,
        listening(server, "old") as old,
    ):
        run = server.submit(picture(steps=4, seed=102), client_id="new")
        new.ended(run)
        old.ended(server.submit(picture(steps=4, seed=103), client_id="old"))

    kind, length = struct.unpack(">II", new.binary[0][:8])
    facts = json.loads(new.binary[0][8 : 8 + length])
    assert kind == 4
    assert (facts["prompt_id"], facts["image_type"]) == (run, "image/jpeg")
    assert facts["node_id"] == facts["display_node_id"] == facts["real_node_id"]
    assert new.binary[0][8 + length :].startswith(b"\xff\xd8")
    assert struct.unpack(">II", old.binary[0][:8]) == (1, 1)
    assert old.binary[0][8:].startswith(b"\xff\xd8")


@pytest.mark.parametrize("knows_runs", [True, False])
def test_an_unfinished_text_comes_with_its_node(server, knows_runs):
    prompt = {"5": {"class_type": "ToyWrite", "inputs": {"text": "grün"}}}
    flags = {"supports_progress_text_metadata": knows_runs}
    with listening(server, f"reads {knows_runs}", flags=flags) as heard:
        run = server.submit(prompt, client_id=f"reads {knows_runs}")
        heard.ended(run)

    names = [run, "5"] if knows_runs else ["5"]
    head = b"".join(struct.pack(">I", len(name)) + name.encode() for name in names)
    start = struct.pack(">I", 3) + head
    assert heard.binary == [start + text.encode() for text in ("grü", "grün")]


def test_a_second_connection_of_one_client_hears_the_same(server):
    with listening(server, "twice") as first, listening(server, "twice") as second:
        run = server.submit(toy(value=21), client_id="twice")
        both = [first.ended(run), second.ended(run)]
    with listening(server, "twice") as third:
        run = server.submit(toy(value=22), client_id="twice")
        assert third.ended(run)[-1]["data"] == {"node": None, "prompt_id": run}

    assert both[0] == both[1]


def test_a_connection_resumes_where_it_was_cut(server):
    with listening(server, "resumes") as heard:
        run = server.submit(adding([31, 32, 33]), client_id="resumes")
        whole = [item for item in heard.ended(run) if item["type"] != "progress"]
    cuts = [place for place, item in enumerate(whole) if "seq" in item]
    for place in (cuts[0], cuts[len(cuts) // 2], cuts[-2]):
        with listening(server, "resumes", since=whole[place]["seq"]) as again:
            rest = again.ended(run)

        assert rest == whole[place + 1 :]
    numbers = [whole[place]["seq"] for place in cuts]
    assert numbers == sorted(set(numbers))
    assert "seq" in whole[-1]
