"""Packs for ComfyUI in a server: what clients see of good ones and of broken ones."""

from io import BytesIO

import pytest
from PIL import Image

from tests.nodes.comfy import packs
from tests.server.api.comfy.listening import listening
from tests.server.serving import serving, until

NAMES = ("exits", "syntax")


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A server with the toys for ComfyUI, and with packs that are broken."""
    home = tmp_path_factory.mktemp("packs")
    packs.toys(home / "custom_nodes")
    packs.write(home / "custom_nodes", "clash", packs.CLASH)
    scripts = packs.write(home / "custom_nodes", "asked", packs.ASKED) / "scripts"
    scripts.mkdir()
    (scripts / "asked.js").write_text("// asked")
    (home / "custom_nodes" / "secret.txt").write_text("secret")
    for name in NAMES:
        packs.write(home / "custom_nodes", name, packs.BROKEN[name])
    with serving(home, environment={"NODEGRAPH_CACHE_DIR": str(home / "cache")}) as running:
        until(lambda: "packs are read after" in (home / "log.txt").read_text())
        yield running


def test_the_server_works_and_its_log_says_what_was_left_out(host):
    log = (host.home / "log.txt").read_text()

    assert host.get("/object_info/ToyArithmetic").json["ToyArithmetic"]["category"] == "toys"
    assert (
        host.get("/object_info/KSampler").json["KSampler"]["python_module"]
        == "nodes.builtin.sampling.ksampler"
    )
    assert all(f"{name!r}" in log for name in (*NAMES, "clash"))


def test_a_packs_script_is_served_to_the_editor(host):
    (script,) = [name for name in host.get("/extensions").json if name.endswith("toys.js")]

    assert host.get(script.replace(" ", "%20")).data.startswith(b"// a toy's script")


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_packs_route_is_answered_by_the_worker_which_sees_no_tokens(host, prefix):
    secrets = {"Authorization": "Bearer secret", "Cookie": "nodegraph_token=secret"}
    reply = host.get(f"{prefix}/toys/hello/a%20b?x=1", **secrets)

    assert (reply.status, reply.json) == (200, {"hello": "a b", "told": []})
    assert host.get("/toys/nothing").status == 404


def test_a_node_of_a_pack_runs_and_tells_its_client(host):
    prompt = {"1": {"class_type": "ToyShows", "inputs": {"text": "hi"}}}

    with listening(host, "me") as listener:
        run = host.submit(prompt, client_id="me")
        listener.ended(run)

    assert listener.data("toys.shown") == [{"text": "hi", "client": "me", "node": "1"}]
    shown, as_it_is = (each[8:] for each in listener.binary)
    assert Image.open(BytesIO(shown)).size == (16, 8)
    assert as_it_is == b"a PNG"
    assert host.finished(run)["outputs"] == {"1": {"text": ["hi"]}}


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


def test_what_a_class_refuses_is_refused_before_the_run(host):
    reply = host.post("/prompt", {"prompt": {"1": node("AskedBelowFive", x=9)}})
    (error,) = reply.json["node_errors"]["1"]["errors"]

    assert (reply.status, error["type"]) == (400, "custom_validation_failed")
    assert "9 is too many" in error["message"]
    assert reply.json["node_errors"]["1"]["dependent_outputs"] == ["1"]


def test_what_a_class_refuses_leaves_the_other_outputs_to_run(host):
    prompt = {"1": node("AskedBelowFive", x=9), "2": node("AskedBelowFive", x=2)}
    reply = host.post("/prompt", {"prompt": prompt})

    assert list(reply.json["node_errors"]) == ["1"]
    assert list(host.finished(reply.json["prompt_id"])["outputs"]) == ["2"]


def test_a_check_that_fails_itself_says_so(host):
    prompt = {"1": node("PrimitiveInt", value=1), "2": node("AskedBelowFive", x=["1", 0])}
    inner = {**prompt, "3": node("PreviewAny", source=["2", 0])}
    more = {"partial_execution_targets": ["3"]}
    kinds = [
        host.post("/prompt", {"prompt": graph, **wanted}).json["node_errors"]["2"]["errors"][0]
        for graph, wanted in ((prompt, {}), (inner, more))
    ]

    assert [kind["type"] for kind in kinds] == [
        "exception_during_validation",
        "exception_during_inner_validation",
    ]
    assert {kind["extra_info"]["exception_type"] for kind in kinds} == {"TypeError"}


@pytest.mark.parametrize(("source", "accepted"), [("PrimitiveString", True), ("Nobodys", False)])
def test_a_class_that_asks_for_types_decides_on_them(host, source, accepted):
    given = node(source, value="a") if accepted else node("PrimitiveInt", value=1)
    prompt = {"1": given, "2": node("AskedForTypes", a=["1", 0])}
    reply = host.post("/prompt", {"prompt": prompt})

    assert (reply.status == 200) is accepted
    assert accepted or "({'a': 'INT'}, 7)" in reply.json["node_errors"]["2"]["errors"][0]["message"]


def test_our_own_api_refuses_them_too(host):
    workflow = {"workflow": {"1": node("AskedBelowFive", x=9)}}

    assert host.post("/v1/runs", workflow).status == 422
    (problem,) = host.post("/v1/validate", workflow).json["problems"]
    assert (problem["node_id"], problem["code"]) == ("1", "custom_validation_failed")


def test_a_pack_changes_prompts_and_tells_their_client(host):
    prompt = {"1": node("ToyShows", text="WORD")}

    with listening(host, "me") as listener:
        run = host.submit(prompt, client_id="me")
        listener.ended(run)
        told = listener.data("toys.populated")

    history = host.finished(run)
    assert history["outputs"] == {"1": {"text": ["populated"]}}
    assert history["prompt"][2]["1"]["inputs"]["text"] == "populated"
    assert history["prompt"][3]["seen"] is True
    assert told == [{"for": "me"}]


@pytest.mark.parametrize("text", ["fail", "spoil"])
def test_a_prompt_goes_on_as_it_was_if_a_pack_fails_to_change_it(host, text):
    run = host.submit({"1": node("ToyShows", text=text)})

    assert host.finished(run)["outputs"] == {"1": {"text": [text]}}


def test_a_prompt_that_is_sent_again_is_the_same_run_though_packs_change_it(host):
    body = {"prompt": {"1": node("ToyShows", text="WORD")}, "prompt_id": "again-and-again"}

    assert [host.post("/prompt", body).status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_files_of_a_folder_that_a_pack_adds_are_served_and_none_beside_it(host, prefix):
    assert host.get(f"{prefix}/asked/files/scripts/asked.js").data == b"// asked"
    for name in ("../secret.txt", "%2e%2e/secret.txt", "/etc/passwd", "none.txt"):
        assert host.get(f"{prefix}/asked/files/{name}").status in (403, 404)


def test_scripts_of_a_folder_that_a_pack_names_are_served_to_the_editor(host):
    assert "/extensions/asked-elsewhere/asked.js" in host.get("/extensions").json
    assert host.get("/extensions/asked-elsewhere/asked.js").data == b"// asked"
    assert host.get("/extensions/asked-elsewhere/../secret.txt").status == 404


def test_a_node_type_that_its_pack_can_not_declare_is_told_with_the_reason(host):
    reply = host.post("/prompt", {"prompt": {"1": node("AskedBroken")}})

    assert reply.status == 400
    assert "The pack 'asked' has it" in reply.json["error"]["details"]
    assert "no attribute 'nothing'" in reply.json["error"]["details"]
