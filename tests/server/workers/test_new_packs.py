"""A server answers while packs are new to it: they are described meanwhile, and runs wait."""

import pytest

from tests.nodes.comfy import packs
from tests.server.serving import serving, until

PACK = """
    import pathlib
    import time

    from aiohttp import web
    from server import PromptServer

    GO = pathlib.Path({go!r})
    while not GO.exists():
        time.sleep(0.05)

    @PromptServer.instance.routes.get("/late/hello")
    async def hello(request):
        return web.json_response({{"hello": {hello!r}}})

    class Late:
        RETURN_TYPES = ()
        FUNCTION = "show"
        OUTPUT_NODE = True

        @classmethod
        def INPUT_TYPES(cls):
            return {{"required": {{"text": ("STRING", {{"default": ""}})}}}}

        def show(self, text):
            time.sleep(2 * (text == "kept"))
            return {{"ui": {{"text": (text,)}}}}

    NODE_CLASS_MAPPINGS = {{"Late": Late}}
"""
SAMPLES = {
    "1": {"class_type": "KSampler", "inputs": {"sampler_name": "late_sampler"}},
    "2": {"class_type": "VAEDecode", "inputs": {"samples": ["1", 0]}},
    "3": {"class_type": "ImageScale", "inputs": {"image": ["2", 0], "upscale_method": "late"}},
    "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
}
PROMPT = {"1": {"class_type": "Late", "inputs": {"text": "hi"}}}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("late")


def start(home, hello):
    """A server with a pack for ComfyUI that is new to it, and waits for the file `go`."""
    text = packs.textwrap.dedent(PACK.format(go=str(home / "go"), hello=hello))
    (home / "custom_nodes" / "late").mkdir(parents=True, exist_ok=True)
    (home / "custom_nodes" / "late" / "__init__.py").write_text(text)
    return serving(home, environment={"NODEGRAPH_CACHE_DIR": str(home / "cache")})


@pytest.mark.slow
def test_a_pack_is_described_while_the_server_answers_and_a_kept_run_waits_for_it(home):
    with start(home, "one") as server:
        assert server.get("/object_info/KSampler").json
        assert server.get("/object_info/Late").json == {}
        refused = server.post("/prompt", {"prompt": PROMPT})
        assert refused.status == 400
        assert b"still being read: late; try again soon" in refused.data
        refused = server.post("/prompt", {"prompt": SAMPLES}).json["node_errors"]
        unknown = [
            each["details"]
            for node_id in ("1", "3")
            for each in refused[node_id]["errors"]
            if each["type"] == "value_not_in_list"
        ]
        assert ["still being read: late; try again" in each for each in unknown] == [True, False]

        (home / "go").touch()
        until(lambda: server.get("/object_info/Late").json)
        assert server.get("/late/hello").json == {"hello": "one"}
        assert server.get("/late/nothing").status == 404
        assert server.post("/late/hello").status == 404
        assert server.finished(server.submit(PROMPT))["outputs"]["1"]["text"] == ["hi"]
        until(lambda: "1 packs are read after" in (home / "log.txt").read_text())
        (home / "go").unlink()
        kept = server.submit({"1": {"class_type": "Late", "inputs": {"text": "kept"}}})
        server.kill()
    with start(home, "two") as server:
        assert server.get("/object_info/Late").json == {}
        (home / "go").touch()
        assert server.finished(kept)["outputs"]["1"]["text"] == ["kept"]
        assert server.get("/late/hello").json == {"hello": "two"}
