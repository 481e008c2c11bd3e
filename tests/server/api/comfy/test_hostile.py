"""Whatever is sent is answered, never with a 500, and the next prompt is still executed."""

import asyncio
import json

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.server.api.comfy.listening import listening
from tests.server.api.comfy.prompts import chain
from tests.server.serving import toy

SHOWN = {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}}
NUMBER = {"class_type": "ToyNumber", "inputs": {"value": 1}}
GOOD = {"1": NUMBER, "2": SHOWN}
SURROGATE = "\ud800"


@pytest.fixture(autouse=True, scope="module")
def _executes_after_all(server):
    """After all these requests the server is well."""
    yield
    assert server.finished(server.submit(toy(value=77)))["outputs"]["2"] == {"text": ["77"]}
    assert server.get("/readyz").status == 200


@pytest.mark.parametrize("length", [983, 1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_long_chain_runs_and_its_messages_grow_no_faster_than_it(length, server):
    client = f"chain-{length}"
    with listening(server, client) as heard:
        run = server.submit(chain(length, 1), client_id=client)
        about = heard.ended(run, 240)

    assert about[-2]["type"] == "execution_success"
    assert server.finished(run)["outputs"][str(length - 1)] == {"text": [str(length - 1)]}
    assert heard.bytes < 1000 * length
    executing = {item["data"]["node"] for item in about if item["type"] == "executing"}
    cached = {
        node
        for item in about
        if item["type"] == "execution_cached"
        for node in item["data"]["nodes"]
    }
    assert executing - {None} | cached == set(map(str, range(length)))


ODD = {
    "a link to a missing node in an undeclared input": (
        {"prompt": {"1": NUMBER | {"inputs": {"value": 1, "nope": ["99", 0]}}, "2": SHOWN}},
        200,
    ),
    "no extra data": ({"prompt": GOOD, "extra_data": None}, 200),
    "a client that is an object": ({"prompt": GOOD, "client_id": {}}, 400),
    "a client that is a list": ({"prompt": GOOD, "client_id": [1]}, 400),
    "no client": ({"prompt": GOOD, "client_id": None}, 200),
    "a node without inputs": ({"prompt": {"1": {"class_type": "ToyNumber"}, "2": SHOWN}}, 400),
    "inputs that are null": ({"prompt": {"1": NUMBER | {"inputs": None}, "2": SHOWN}}, 400),
    "a node that is null": ({"prompt": {"1": None}}, 400),
    "a type that is a list": ({"prompt": {"1": {"class_type": [], "inputs": {}}}}, 400),
    "ids of JavaScript": (
        {
            "prompt": {
                "__proto__": NUMBER,
                "constructor": {"class_type": "ToyShow", "inputs": {"a": ["__proto__", 0]}},
            },
            "extra_data": {"__proto__": {"a": 1}},
        },
        200,
    ),
    "an empty id": (
        {"prompt": {"": NUMBER, "2": {"class_type": "ToyShow", "inputs": {"a": ["", 0]}}}},
        200,
    ),
    "a lone surrogate in an id": (
        {"prompt": {SURROGATE: NUMBER, "2": {"class_type": "ToyShow", "inputs": {"a": 1}}}},
        400,
    ),
    "a lone surrogate in a name": (
        {"prompt": {"1": NUMBER | {"inputs": {"value": 1, SURROGATE: SURROGATE}}, "2": SHOWN}},
        200,
    ),
    "a lone surrogate in extra data": ({"prompt": GOOD, "extra_data": {"a": SURROGATE}}, 200),
    "a lone surrogate in the prompt's id": ({"prompt": GOOD, "prompt_id": SURROGATE}, 400),
    "a lone surrogate in the client's id": ({"prompt": GOOD, "client_id": SURROGATE}, 400),
    "an endless id": ({"prompt": GOOD, "prompt_id": "x" * 10_000}, 400),
    "an id that is a number": ({"prompt": GOOD, "prompt_id": 1}, 400),
    "a number that is a list": ({"prompt": GOOD, "number": []}, 400),
    "a number that is true": ({"prompt": GOOD, "number": True}, 400),
    "a huge number": ({"prompt": GOOD, "number": 10**400}, 400),
    "a large number": ({"prompt": GOOD, "number": 1e300}, 200),
    "front that is text": ({"prompt": GOOD, "front": "yes"}, 400),
    "extra data that is text": ({"prompt": GOOD, "extra_data": "x"}, 400),
    "editor data that is text": ({"prompt": GOOD, "extra_data": {"extra_pnginfo": "x"}}, 200),
    "targets that are text": ({"prompt": GOOD, "partial_execution_targets": "2"}, 400),
    "targets that are objects": ({"prompt": GOOD, "partial_execution_targets": [{}]}, 400),
    "no targets": ({"prompt": GOOD, "partial_execution_targets": []}, 400),
    "a workflow of the editor": ({"prompt": {"nodes": [], "links": [], "version": 0.4}}, 400),
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_request_is_answered(case, server):
    body, status = ODD[case]

    reply = server.post("/prompt", body)

    assert reply.status == status, reply.data
    if status == 200:
        assert server.finished(reply.json["prompt_id"])["status"]["status_str"] == "success"
    else:
        assert reply.json["error"]["message"]
        assert reply.json["error"]["type"]


BROKEN = {
    "nothing": b"",
    "no JSON": b"{nope",
    "no UTF-8": b'{"prompt": "\xff\xfe"}',
    "a key twice": b'{"prompt": {}, "prompt": {}}',
    "an input twice": b'{"prompt": {"1": {"class_type": "A", "inputs": {"a": 1, "a": 2}}}}',
    "nested deep": b'{"prompt": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "nested in the middle": b'{"prompt": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}",
    "NaN": json.dumps({"prompt": GOOD, "number": float("nan")}).encode(),
    "Infinity": json.dumps({"prompt": GOOD, "extra_data": {"a": float("inf")}}).encode(),
    "NaN as an input": json.dumps(
        {"prompt": {"1": NUMBER | {"inputs": {"value": float("nan")}}, "2": SHOWN}}
    ).encode(),
    "NaN where nobody looks": json.dumps(
        {"prompt": {"1": NUMBER | {"inputs": {"value": 1, "x": float("nan")}}, "2": SHOWN}}
    ).encode(),
    "a number of 5,000 digits": b'{"prompt": ' + b"1" * 5000 + b"}",
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("path", ["/prompt", "/queue", "/history", "/interrupt", "/free"])
def test_a_broken_body_is_refused(path, case, server):
    reply = server.post(path, BROKEN[case])

    assert reply.status == 400 if path == "/prompt" else reply.status in (200, 400), reply.data


@pytest.mark.slow
def test_a_prompt_of_twenty_megabytes_runs(server):
    body = {"prompt": GOOD, "extra_data": {"extra_pnginfo": {"workflow": {"text": "é" * 10**7}}}}

    reply = server.ask("POST", "/prompt", json.dumps(body, ensure_ascii=False).encode())

    entry = server.finished(reply.json["prompt_id"])
    assert entry["status"]["status_str"] == "success"
    assert len(entry["prompt"][3]["extra_pnginfo"]["workflow"]["text"]) == 10**7
    server.post("/history", {"delete": [reply.json["prompt_id"]]})


def test_an_id_comes_once_or_with_the_same_request(server):
    body = {"prompt": toy(value=5), "prompt_id": "an-id-of-mine", "client_id": "c"}
    first = server.post("/prompt", body)
    again = server.post("/prompt", body)
    other = server.post("/prompt", body | {"prompt": toy(value=6)})

    assert (first.status, again.status, other.status) == (200, 200, 409)
    assert first.json == again.json
    assert other.json["error"]["type"] == "run_exists"
    assert server.finished("an-id-of-mine")["outputs"]["2"] == {"text": ["5"]}


DIGITS = "9" * 5000


def test_endless_numbers_are_answered(server):
    with Image.new("RGB", (8, 8)) as image:
        image.save(server.output / "numbered.png")
    run = server.submit(toy())
    server.finished(run)

    preview = server.get(f"/view?filename=numbered.png&preview=webp;{DIGITS}")
    assert preview.headers["Content-Type"] == "image/webp"
    assert server.get(f"/v1/runs/{run}/outputs/{DIGITS}").status == 404
    assert server.get(f"/experiment/models/preview/checkpoints/{DIGITS}/a").status == 404


def test_an_endless_number_to_begin_after_is_none(server):
    async def first():
        url = f"{server.socket_url}?since={DIGITS}"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            return await socket.receive_json(timeout=30)

    assert asyncio.run(first())["type"] == "status"


@pytest.mark.parametrize(
    "path", ["/history/%ED%A0%80", "/jobs/%ED%A0%80", "/jobs/%00", "/models/%00"]
)
def test_an_odd_path_is_answered(path, server):
    assert server.get(path).status in (200, 404)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [
        *("prompt", "client_id", "prompt_id", "number", "front", "extra_data", "clear"),
        *("partial_execution_targets", "delete", "job_ids", "unload_models"),
    ]
)
INPUTS = st.dictionaries(st.sampled_from(["a", "value", "b", "", "x"]), JSON, max_size=3)
NODES = st.fixed_dictionaries(
    {},
    optional={
        "class_type": st.sampled_from(["ToyNumber", "ToyAdd", "ToyShow", "SaveImage"]) | JSON,
        "inputs": INPUTS | JSON,
        "_meta": JSON,
    },
)
PROMPTS = st.dictionaries(st.sampled_from(["1", "2", "", "é"]) | st.text(max_size=3), NODES | JSON)
BODIES = (
    JSON
    | st.dictionaries(NAMES, JSON)
    | st.builds(
        lambda more, prompt: more | {"prompt": prompt}, st.dictionaries(NAMES, JSON), PROMPTS
    )
    | st.builds(lambda prompt: {"prompt": prompt}, PROMPTS)
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.sampled_from(
        [
            "/prompt",
            "/prompt",
            "/prompt",
            "/queue",
            "/history",
            "/interrupt",
            "/free",
            "/jobs/cancel",
        ]
    ),
    body=BODIES,
)
def test_no_body_is_too_much(server, path, body):
    reply = server.post(path, body)

    assert reply.status in (200, 400, 409), reply.data
    if reply.status != 200 and path == "/prompt":
        assert reply.json.keys() == {"error", "node_errors"}
