"""Every prompt that ComfyUI's replies are recorded for gets the same one here, or a better one."""

import ast
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "data" / "comfyui_errors.json").read_text()
)
PROMPTS = [name for name, case in RECORDED.items() if isinstance(case["request"], dict)]
OTHERS = [name for name in RECORDED if name not in (*PROMPTS, "http_upload_no_file")]
OTHER_STATUS = {
    "http_bad_json": 400,
    "http_wrong_content_type": 400,
    "http_history_bad_max_items": 400,
}
"""Requests that ComfyUI answers with 500."""


class Ours(NamedTuple):
    """A reply that is another than ComfyUI's, and why."""

    reason: str
    status: int = 400
    kind: str | None = "prompt_outputs_failed_validation"
    nodes: dict[str, list[str]] | None = None
    """The types of each node's errors."""


LOSSY = "a conversion that loses something is an error"
NAMED = "the node on the loop is named, not left to be found"
DEVIATIONS = {
    "prompt_is_null": Ours("ComfyUI answers 500", kind="prompt_no_outputs"),
    "prompt_is_string": Ours("ComfyUI answers 500", kind="invalid_prompt"),
    "number_string": Ours("ComfyUI answers 500", kind="invalid_prompt"),
    "inputs_key_missing": Ours(
        "the inputs that lack are named, not a KeyError",
        nodes={"1": ["required_input_missing"] * 4},
    ),
    "link_slot_negative": Ours(
        "outputs are counted from 0", nodes={"2": ["exception_during_validation"]}
    ),
    "link_slot_string": Ours("it is no link at all", nodes={"2": ["bad_linked_input"]}),
    "link_id_int": Ours("a number names the node as well as its text does", 200, None),
    "link_as_string": Ours(
        "found before the run instead of in it", nodes={"2": ["invalid_input_type"]}
    ),
    "int_float": Ours(LOSSY, nodes={"1": ["invalid_input_type"]}),
    "int_bool": Ours(LOSSY, nodes={"1": ["invalid_input_type"]}),
    "string_for_float_nan": Ours("NaN is no number", nodes={"2": ["invalid_input_type"]}),
    "cycle": Ours(NAMED, nodes={"1": ["custom_validation_failed"]}),
    "self_loop": Ours(NAMED, nodes={"1": ["custom_validation_failed"]}),
    "path_traversal_prefix": Ours(
        "found before the run instead of in it", nodes={"2": ["custom_validation_failed"]}
    ),
}
OTHER_DEPENDENTS = {"type_mismatch": "an output depends on itself, not on those before it"}
"""Cases whose `dependent_outputs` differ."""
OTHER_ENDS = {"unknown_extra_link": "a loop through an input that does not exist is none"}
"""Cases whose last message differs: ComfyUI says success and sends an error."""


@pytest.mark.parametrize("name", PROMPTS)
def test_a_recorded_prompt_gets_the_recorded_reply(name, server):
    case = RECORDED[name]
    expected = DEVIATIONS.get(name) or _recorded(case)

    reply = server.post("/prompt", case["request"])

    assert reply.status == expected.status, reply.json
    assert reply.headers["Content-Type"].startswith("application/json")
    assert _types(reply.json) == (expected.kind, expected.nodes or {})
    _check_shapes(reply.json)
    if name not in DEVIATIONS:
        _check_extras(name, case["response"], reply.json)
    if reply.status == 200:
        entry = server.finished(reply.json["prompt_id"])
        if name not in DEVIATIONS:
            _check_history(name, case, entry)


def test_no_deviation_is_a_mistake():
    unknown = {*DEVIATIONS, *OTHER_DEPENDENTS, *OTHER_ENDS} - {*PROMPTS}
    same = [name for name, ours in DEVIATIONS.items() if ours[1:] == _recorded(RECORDED[name])[1:]]

    assert not unknown
    assert not same


@pytest.mark.parametrize("name", OTHERS)
def test_a_recorded_request_gets_the_recorded_status(name, server):
    case = RECORDED[name]
    method, path, more = case["request"].split(" ", 2)
    given = ast.literal_eval(more or "{}")
    body = given.get("data", given.get("json"))

    reply = server.ask(
        method, path, body.encode() if isinstance(body, str) else body, given.get("headers")
    )

    assert reply.status == OTHER_STATUS.get(name, case["status"]), reply.data
    if case["status"] == 200:
        theirs = json.loads(case["response"]) if case["response"] else None
        assert _outline(reply.json if reply.data else None) == _outline(theirs)


def _outline(value: object) -> object:
    return sorted(value) if isinstance(value, dict) else type(value)


def _recorded(case: dict[str, Any]) -> Ours:
    reply = case["response"]
    if not isinstance(reply, dict):
        return Ours("", case["status"], None, {})
    kind, nodes = _types(reply)
    return Ours("", case["status"], kind, nodes)


def _types(reply: dict[str, Any]) -> tuple[str | None, dict[str, list[str]]]:
    """The type of the whole and those of each node, in any order."""
    nodes = {
        node: sorted(error["type"] for error in found["errors"])
        for node, found in reply["node_errors"].items()
    }
    return reply.get("error", {}).get("type"), nodes


def _check_shapes(reply: dict[str, Any]) -> None:
    """The keys that clients' strict models want, and no others."""
    accepted, refused = {"prompt_id", "number", "node_errors"}, {"error", "node_errors"}
    assert reply.keys() in (accepted, refused)
    errors = [error for found in reply["node_errors"].values() for error in found["errors"]]
    for error in [*errors, *([reply["error"]] if "error" in reply else [])]:
        assert error.keys() == {"type", "message", "details", "extra_info"}
        assert isinstance(error["message"], str)
        assert isinstance(error["details"], str)
        assert error["message"]
    for found in reply["node_errors"].values():
        assert found.keys() == {"errors", "dependent_outputs", "class_type"}


def _check_extras(name: str, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Everything that ComfyUI says about a node is said here, too."""
    for node, found in theirs["node_errors"].items():
        mine = ours["node_errors"][node]
        assert mine["class_type"] == found["class_type"]
        if name not in OTHER_DEPENDENTS:
            assert sorted(mine["dependent_outputs"]) == sorted(found["dependent_outputs"])
        by_type = {error["type"]: error["extra_info"] for error in mine["errors"]}
        for error in found["errors"]:
            said = by_type[error["type"]]
            assert error["extra_info"].keys() <= said.keys()
            for key in ("input_name", "received_type", "linked_node"):
                assert said.get(key) == error["extra_info"].get(key, said.get(key))


def _check_history(name: str, case: dict[str, Any], entry: dict[str, Any]) -> None:
    theirs = case["history_status"]
    if name in OTHER_ENDS:
        assert [m[0] for m in entry["status"]["messages"]][-1] == "execution_success"
        return
    assert entry["status"]["status_str"] == theirs["status_str"]
    assert [m[0] for m in entry["status"]["messages"]] == [m[0] for m in theirs["messages"]]
    pairs = zip(entry["status"]["messages"], theirs["messages"], strict=True)
    assert all(said.keys() == expected.keys() for (_, said), (_, expected) in pairs)
    assert entry["outputs"].keys() == case["history_outputs"].keys()
