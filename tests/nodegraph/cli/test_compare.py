"""`nodes --compare`: which node types of another server are offered here."""

import copy
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

STEPS: dict[str, Any] = {
    "input": {
        "required": {"steps": ["INT", {"min": 1, "max": 1000, "tooltip": "How many."}]},
        "optional": {"seed": ["INT", {"default": 0}], "pause": ["FLOAT", {"default": 0.0}]},
    },
    "input_order": {"required": ["steps"], "optional": ["seed", "pause"]},
    "output": ["STRING"],
    "output_name": ["STRING"],
    "output_is_list": [False],
    "name": "Steps",
    "display_name": "Steps",
    "category": "test",
    "output_node": False,
}


def other(**changes):
    entry: Any = copy.deepcopy(STEPS)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = entry
        for parent in parents:
            place = place[parent]
        place[last] = value
    return entry


@pytest.fixture
def described(here):
    """Write what another server says of its node types."""

    def write(**entries):
        path = here / "info.json"
        path.write_text(json.dumps(entries))
        return path

    return write


def test_an_equal_node_type_is_offered_and_others_are_missing_or_own(invoke, described):
    path = described(Steps=STEPS, Paint=STEPS | {"name": "Paint", "category": "art/oil"})
    done = invoke("nodes", "--compare", path)

    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "Offered (1)",
        "  Steps",
        "Offered, but different (0)",
        "Not offered (1)",
        "  art/oil: Paint",
        "Only here (3)",
        "  Write, Peek, Boom",
        "1 of 2 node types are offered, 0 of them different.",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"input__required__steps": ["FLOAT", {"min": 1, "max": 1000}]},
            "input 'steps' is INT, not FLOAT",
        ),
        (
            {"input__required__steps": ["INT", {"min": 1, "max": 99}]},
            "input 'steps' is {'min': 1, 'max': 1000}, not {'min': 1, 'max': 99}",
        ),
        (
            {"input__optional": {"seed": ["INT", {"default": 0}]}},
            "optional inputs seed, pause, not seed",
        ),
        ({"output": ["INT"]}, "output is ['STRING'], not ['INT']"),
        ({"category": "toys"}, "category is test, not toys"),
        ({"output_node": True}, "output_node is False, not True"),
    ],
)
def test_a_difference_is_said_in_a_line(invoke, described, changes, line):
    path = described(Steps=other(**changes))
    answer = json.loads(invoke("nodes", "--compare", path, "--json").stdout)

    assert answer["different"] == {"Steps": [line]}
    assert answer["offered"] == ["Steps"]
    assert f"    Steps: {line}\n" in invoke("nodes", "--compare", path).stdout


@pytest.fixture
def server():
    """A server that answers /object_info, and where it is."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == "/object_info"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(json.dumps({"Steps": STEPS}).encode() if found else b"")

        def log_message(self, format: str, *args: object):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize("rest", ["", "/", "/object_info"])
def test_a_server_is_asked_itself(invoke, server, rest):
    answer = json.loads(invoke("nodes", "--compare", server + rest, "--json").stdout)

    assert (answer["offered"], answer["different"], answer["missing"]) == (["Steps"], {}, {})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "unknown_file"),
        ("{", "not_object_info"),
        ("[]", "not_object_info"),
        ('{"3": {"class_type": "KSampler", "inputs": {}}}', "not_object_info"),
    ],
)
def test_what_describes_no_node_types_is_refused(invoke, here, text, code):
    if text is not None:
        (here / "info.json").write_text(text)
    done = invoke("nodes", "--compare", "info.json")

    assert done.exit_code == 2
    assert f"[{code}]" in done.stderr


def test_a_server_that_does_not_answer_is_named(invoke, server):
    done = invoke("nodes", "--compare", f"{server}/elsewhere")

    assert done.exit_code == 2
    assert "/elsewhere/object_info' does not describe node types: no answer" in done.stderr


def test_one_node_type_can_not_be_compared(invoke):
    assert invoke("nodes", "Steps", "--compare", "info.json").exit_code == 2
