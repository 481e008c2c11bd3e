"""Packs for ComfyUI in a server: what clients see of good ones and of broken ones."""

import pytest

from tests.nodes.comfy import packs
from tests.server.api.comfy.listening import listening
from tests.server.serving import serving

NAMES = ("exits", "syntax")


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A server with the toys for ComfyUI, and with packs that are broken."""
    home = tmp_path_factory.mktemp("packs")
    packs.toys(home / "custom_nodes")
    packs.write(home / "custom_nodes", "clash", packs.CLASH)
    for name in NAMES:
        packs.write(home / "custom_nodes", name, packs.BROKEN[name])
    with serving(home, environment={"NODEGRAPH_CACHE_DIR": str(home / "cache")}) as running:
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

    assert listener.data("toys.shown") == [{"text": "hi"}]
    assert host.finished(run)["outputs"] == {"1": {"text": ["hi"]}}
