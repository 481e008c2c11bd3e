"""A pack with an environment of its own: its nodes run in a process of that, and values cross."""

import asyncio
import os
import signal
import sys
import threading
import time
import venv
import zipfile
from typing import Any

import numpy as np
import pytest
import torch
from aiohttp import ClientSession, UnixConnector

from nodegraph.errors import NodeGraphError, RunCancelledError
from nodegraph.execution.engine import Engine
from nodegraph.execution.events import Preview, Progress
from nodegraph.packs.environment.advice import advice_for
from nodegraph.packs.environment.requirements import versions_for
from nodegraph.packs.registry import Registry
from nodegraph.packs.routes import PackServer
from nodegraph.runtime.run_environment import CancelToken
from nodegraph.workflow.read import read_prompt
from nodes.comfy.apart.errors import CannotCrossError
from nodes.comfy.apart.messages import read_message, write_message
from nodes.comfy.values.convert import ExecutionBlocker
from nodes.comfy.values.runtime import current
from nodes.comfy.venvs import venvs_of
from nodes.values import Latent
from tests.nodes.comfy import packs

APART = """
    import os
    import sys
    import time

    import comfy.utils
    import conflicting
    import torch
    from aiohttp import web
    from comfy_execution.graph_utils import GraphBuilder
    from PIL import Image
    from server import BinaryEventTypes, PromptServer

    class Base:
        FUNCTION = "run"
        CATEGORY = "apart"

    def node(inputs, returns, run, **more):
        kinds = {"required": {name: (kind,) for name, kind in inputs.items()}}
        own = {"INPUT_TYPES": classmethod(lambda cls: kinds), "RETURN_TYPES": returns, "run": run}
        return type("Node", (Base,), own | more)

    def tell(self):
        return (conflicting.VERSION, os.getpid(), sys.prefix)

    def half(self, image):
        return (image / 2,)

    def noise(self, latent):
        self.calls = getattr(self, "calls", 0) + 1
        return ({"samples": latent["samples"] + 1, "own": {"calls": self.calls}},)

    def die(self, how):
        os.kill(os.getpid(), 9) if how == "kill" else os._exit(5)

    def fail(self, text):
        raise ValueError(f"no {text}")

    def slow(self, steps):
        bar = comfy.utils.ProgressBar(steps)
        for _ in range(steps):
            time.sleep(0.05)
            bar.update(1)
        return (steps,)

    def show(self, text):
        return {"ui": {"text": (text,)}, "result": (text + "!",)}

    def model(self, model):
        return (1,)

    def strange(self):
        return (object(),)

    def grow(self, count, so_far=None, image=None, graph=None, me=None):
        so_far = f"{so_far or ''}{count}"
        if count == 0:
            told = graph.get_node(me)["class_type"]
            return (f"{so_far} {told} {me.count('.')} {graph.get_display_node_id(me)}", image)
        build = GraphBuilder()
        brighter = build.node("ApartHalf", image=image if count % 2 else torch.ones(1, 2, 2, 3))
        more = build.node("ApartGrow", count=count - 1, so_far=so_far, image=brighter.out(0))
        return {"result": (more.out(0), more.out(1)), "expand": build.finalize()}

    def tell_all(self, text, me):
        server = PromptServer.instance
        told = {"text": text, "client": server.client_id, "node": server.last_node_id}
        server.send_sync("apart.told", told)
        server.send_sync("apart.lost", {"not": object()})
        picture = Image.new("RGB", (8, 8))
        server.send_sync(BinaryEventTypes.UNENCODED_PREVIEW_IMAGE, ("PNG", picture, None))
        return (f"{text} {me}",)

    def choose(self, first, one=None, two=None):
        return (one if first else two,)

    def check(cls, text):
        return f"never {text}" if text == "this" else True

    def change(request):
        PromptServer.instance.send_sync("apart.changed", {"client": request["client_id"]})
        for node in request["prompt"].values():
            if node["inputs"].get("text") == "WORD":
                node["inputs"]["text"] = f"changed by {os.path.basename(sys.prefix)}"
        return request

    PromptServer.instance.add_on_prompt_handler(change)

    @PromptServer.instance.routes.post("/apart/{name}")
    async def answer(request):
        told = {"name": request.match_info["name"], "query": dict(request.query)}
        body = await request.text()
        return web.json_response({**told, "body": body, "venv": os.path.basename(sys.prefix)})
    state = {"changes": 0}

    def changes(cls, text):
        state["changes"] += 1
        return state["changes"]

    class Lazy(Base):
        RETURN_TYPES = ("INT",)
        run = choose
        @classmethod
        def INPUT_TYPES(cls):
            lazy = ("INT", {"lazy": True})
            return {"required": {"first": ("BOOLEAN",), "one": lazy, "two": lazy}}
        def check_lazy_status(self, first, one=None, two=None):
            return ["one" if first else "two"]

    class Grow(Base):
        RETURN_TYPES = ("STRING", "IMAGE")
        run = grow
        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {"count": ("INT",)},
                    "optional": {"so_far": ("STRING",), "image": ("IMAGE",)},
                    "hidden": {"graph": "DYNPROMPT", "me": "UNIQUE_ID"}}

    class TellAll(Base):
        RETURN_TYPES = ("STRING",)
        run = tell_all
        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {"text": ("STRING",)}, "hidden": {"me": "UNIQUE_ID"}}

    NODE_CLASS_MAPPINGS = {
        "ApartTell": node({}, ("STRING", "INT", "STRING"), tell, IS_CHANGED=classmethod(
            lambda cls: time.time())),
        "ApartHalf": node({"image": "IMAGE"}, ("IMAGE",), half),
        "ApartNoise": node({"latent": "LATENT"}, ("LATENT",), noise),
        "ApartDie": node({"how": "STRING"}, ("INT",), die),
        "ApartFail": node({"text": "STRING"}, ("INT",), fail),
        "ApartSlow": node({"steps": "INT"}, ("INT",), slow),
        "ApartShow": node({"text": "STRING"}, ("STRING",), show, OUTPUT_NODE=True),
        "ApartModel": node({"model": "MODEL"}, ("INT",), model),
        "ApartStrange": node({}, ("THING",), strange),
        "ApartLazy": Lazy,
        "ApartGrow": Grow,
        "ApartTellAll": TellAll,
        "ApartPicky": node({"text": "STRING"}, ("STRING",), lambda self, text: (text,),
                           VALIDATE_INPUTS=classmethod(check)),
        "ApartChanges": node({"text": "STRING"}, ("STRING",), lambda self, text: (text,),
                             IS_CHANGED=classmethod(changes)),
    }
"""
HERE = """
    import conflicting

    class Version:
        FUNCTION = "run"
        RETURN_TYPES = ("STRING",)
        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {}}
        def run(self):
            return (conflicting.VERSION,)

    NODE_CLASS_MAPPINGS = {"HereTell": Version}
"""


MESSAGES: list[tuple[str, object, str]] = []
"""What the pack told clients: name, data and run."""


def install_wheel(folder, site, version):
    """Make a wheel of the package `conflicting`, and install it as pip would."""
    wheel = folder / f"conflicting-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("conflicting.py", f"VERSION = {version!r}\n")
        info = f"conflicting-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: conflicting\nVersion: {version}\n"
        file.writestr(f"{info}/METADATA", metadata)
    zipfile.ZipFile(wheel).extractall(site)


def process_of(registry):
    """The process that the pack's node types ask."""
    call: Any = registry.find("ApartTell").function
    return call.__self__.process


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    root = tmp_path_factory.mktemp("apart")
    own, shared = root / "venv", root / "shared"
    venv.create(own, with_pip=False)
    (site,) = own.glob("lib/python*/site-packages")
    install_wheel(root, site, "2.0")
    install_wheel(root, shared, "1.0")
    for name in ("nodegraph", "nodes", "server"):  # what a venv may have by these names, too
        (site / f"{name}.py").write_text("raise ImportError('another one')")
    packs.write(root / "custom_nodes", "apart", APART)
    packs.write(root / "custom_nodes", "here", HERE)
    (root / "custom_nodes" / "packs.toml").write_text("[environments]\napart = '../venv'\n")
    path, finders = sys.path.copy(), list(sys.meta_path)
    sys.path.append(str(shared))
    settings = packs.settings_in(root)
    registry = Registry.from_settings(settings, PackServer(lambda *told: MESSAGES.append(told)))
    assert registry.problems == []
    yield Engine(registry, settings.files(registry.model_places))
    process_of(registry).close()
    sys.path[:], sys.meta_path[:] = path, finders
    for name in [name for name in sys.modules if f"{name}.".startswith("custom_nodes.")]:
        del sys.modules[name]
    sys.modules.pop("conflicting", None)


def run(engine, kind, more=None, **inputs):
    """The outputs of a node of the pack, in a graph of its own."""
    graph = read_prompt({"1": {"class_type": kind, "inputs": inputs}, **(more or {})})
    return engine.run(graph, targets=["1"])


def test_its_packages_come_first_and_the_others_keep_theirs(engine):
    version, pid, prefix = run(engine, "ApartTell").outputs["1"]

    assert (version, run(engine, "HereTell").outputs["1"]) == ("2.0", ("1.0",))
    assert pid != os.getpid()
    assert prefix.endswith("venv")
    assert engine.registry.find("ApartTell").spec.category == "apart"


def test_images_and_latents_cross_and_its_objects_stay(engine):
    size = {"width": 16, "height": 16, "batch_size": 1}
    image = {"class_type": "EmptyImage", "inputs": {**size, "color": 0xFFFFFF}}
    latent = {"class_type": "EmptyLatentImage", "inputs": size}

    (half,) = run(engine, "ApartHalf", {"2": image}, image=["2", 0]).outputs["1"]
    (noise,) = run(engine, "ApartNoise", {"2": latent}, latent=["2", 0]).outputs["1"]

    assert torch.equal(half, torch.full_like(half, 0.5))
    assert isinstance(noise, Latent)
    assert noise.samples.mean() == 1
    assert noise.extras == {"own": {"calls": 1}}


def test_what_it_shows_is_shown(engine):
    result = run(engine, "ApartShow", text="hi")

    assert result.outputs["1"] == ("hi!",)
    assert result.ui["1"].as_dict() == {"text": ["hi"]}


@pytest.mark.parametrize(
    ("kind", "inputs", "message"),
    [
        ("ApartFail", {"text": "luck"}, "ValueError: no luck"),
        ("ApartDie", {"how": "kill"}, "the process of the pack 'apart' ended with signal 9"),
        pytest.param("ApartDie", {"how": "exit"}, "ended with exit code 5", marks=pytest.mark.slow),
        ("ApartStrange", {}, "a value of the type object can not go to or from"),
        ("ApartModel", {"model": ["2", 0]}, "a value of the type PackModel can not go to or from"),
    ],
)
def test_a_failure_is_the_node_s_and_the_next_node_runs(engine, kind, inputs, message):
    model = {
        "class_type": "CheckpointLoaderSimple",
        "inputs": {"ckpt_name": "demo-shapes.safetensors"},
    }
    with pytest.raises(NodeGraphError) as told:
        run(engine, kind, {"2": model}, **inputs)

    assert message in str(told.value)
    assert told.value.node_id == "1"
    assert run(engine, "ApartTell").outputs["1"][0] == "2.0"


@pytest.mark.slow
def test_a_process_that_was_killed_meanwhile_is_started_again(engine):
    before = run(engine, "ApartTell").outputs["1"][1]
    os.kill(before, signal.SIGKILL)
    process_of(engine.registry)._process.wait()

    assert run(engine, "ApartTell").outputs["1"][1] != before


@pytest.mark.slow
def test_progress_is_told_and_cancelling_ends_the_node(engine):
    graph = read_prompt({"1": {"class_type": "ApartSlow", "inputs": {"steps": 400}}})
    events, cancel = [], CancelToken()
    before = run(engine, "ApartTell").outputs["1"][1]

    def hear(event):
        events.append(event)
        if isinstance(event, Progress) and event.value >= 2:
            cancel.cancel()

    began = time.monotonic()
    with pytest.raises(RunCancelledError):
        engine.run(graph, targets=["1"], emit=hear, cancel=cancel)

    assert time.monotonic() - began < 15
    assert [each.total for each in events if isinstance(each, Progress)][:2] == [400, 400]
    assert run(engine, "ApartTell").outputs["1"][1] != before


@pytest.mark.parametrize(("count", "image"), [(1, ["2", 0]), (2, ["2", 0])])
def test_a_node_that_grows_to_others_sees_the_graph(engine, count, image):
    size = {"width": 2, "height": 2, "batch_size": 1}
    white = {"class_type": "EmptyImage", "inputs": {**size, "color": 0xFFFFFF}}
    outputs = run(engine, "ApartGrow", {"2": white}, count=count, image=image).outputs["1"]

    numbers = "".join(str(k) for k in range(count, -1, -1))
    assert outputs[0] == f"{numbers} ApartGrow {2 * count} 1"
    assert outputs[1].max() == 0.5**count


def test_lazy_inputs_checks_and_changes_are_asked_for(engine):
    fails = {"class_type": "ApartFail", "inputs": {"text": "luck"}}
    one = {"class_type": "PrimitiveInt", "inputs": {"value": 1}}
    lazy = {"one": ["2", 0], "two": ["3", 0]}

    assert run(engine, "ApartLazy", {"2": one, "3": fails}, first=True, **lazy).outputs["1"] == (1,)
    assert run(engine, "ApartPicky", text="that").outputs["1"] == ("that",)
    with pytest.raises(NodeGraphError, match="never this"):
        run(engine, "ApartPicky", text="this")
    assert [run(engine, "ApartChanges", text="x").executed for _ in range(2)] == [1, 1]


def test_messages_and_previews_cross_and_each_node_has_its_own_id(engine):
    MESSAGES.clear()
    seen = []
    first = run(engine, "ApartTellAll", text="a").outputs["1"]
    graph = read_prompt({"7": {"class_type": "ApartTellAll", "inputs": {"text": "a"}}})
    second = engine.run(graph, targets=["7"], emit=seen.append, run_id="the-run").outputs["7"]

    assert (first, second) == (("a 1",), ("a 7",))
    assert [(name, data) for name, data, _ in MESSAGES] == [
        ("apart.told", {"text": "a", "client": None, "node": node}) for node in ("1", "7")
    ]
    assert MESSAGES[1][2] == "the-run"
    (preview,) = [event for event in seen if isinstance(event, Preview)]
    assert (preview.image[:4], preview.mime) == (b"\x89PNG", "image/png")


def test_its_handlers_change_prompts(engine):
    MESSAGES.clear()
    (pack,) = [each for each in engine.registry.packs if each.name == "apart"]
    changes = current().server.prompt_changes
    request = {"prompt": {"1": {"class_type": "X", "inputs": {"text": "WORD"}}}, "client_id": "me"}

    assert pack.changes_prompts
    changed: Any = changes["custom_nodes.apart"](request, engine.files)
    assert changed["prompt"]["1"]["inputs"] == {"text": "changed by venv"}
    assert MESSAGES == [("apart.changed", {"client": "me"}, "")]


def test_its_process_answers_its_routes(engine, tmp_path):
    socket = tmp_path / "routes"
    elsewhere = current().server.elsewhere["custom_nodes.apart"]
    elsewhere.open("server.worker_process.pack_site:answer_routes", socket)

    async def ask():
        async with (
            ClientSession(connector=UnixConnector(str(socket))) as session,
            session.post("http://packs/apart/a%20b?x=1", data="text") as answer,
        ):
            return await answer.json()

    told = {"name": "a b", "query": {"x": "1"}, "body": "text", "venv": "venv"}
    assert elsewhere.routes == ("POST /apart/{name}",)
    assert asyncio.run(ask()) == told


def test_its_requirements_are_compared_with_its_own_packages(engine):
    (pack,) = [each for each in engine.registry.packs if each.name == "apart"]
    (pack.root / "requirements.txt").write_text("conflicting>=3\nnobodys-package\ntorch\n")
    own, shared = versions_for(pack.python), versions_for("")
    advice = advice_for(pack.folder, {}, own, pack.python)

    assert (own["conflicting"], shared["conflicting"]) == ("2.0", "1.0")
    assert advice.commands == [f"{pack.python} -m pip install 'conflicting>=3' nobodys-package"]
    assert advice.lines()[-1] == "its requirements.txt wants conflicting>=3 (2.0 is installed)"
    assert "packs.toml" in advice_for(pack.folder, {}, shared).lines()[-1]


def test_several_threads_take_turns(engine):
    found = []

    def work(number):
        found.append(run(engine, "ApartShow", text=str(number)).outputs["1"])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == [(f"{k}!",) for k in range(8)]


def test_values_cross_unchanged_and_nothing_is_unpickled():
    read, write = os.pipe()
    tensor = torch.arange(6).reshape(2, 3).T
    value: Any = {
        "list": [1, 2.5, None, True, "ü", b"\x00"],
        "tuple": (1, (2,)),
        3: {"$": "dict", "set": {4}},
        "views": [tensor, tensor[0], torch.tensor(True), torch.zeros(0)],
        "array": np.arange(3, dtype=np.uint8),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "number": np.float32(0.5),
        "blocked": ExecutionBlocker("why"),
    }
    with os.fdopen(write, "wb") as to, os.fdopen(read, "rb") as back:
        write_message(to, {"value": value})
        to.close()
        found = (read_message(back) or {})["value"]
        assert read_message(back) is None

    assert {key: found[key] for key in ("list", "tuple", 3, "number")} == {
        key: value[key] for key in ("list", "tuple", 3, "number")
    }
    assert [each.tolist() for each in found["views"]] == [each.tolist() for each in value["views"]]
    assert found["array"].dtype == np.uint8
    assert found["half"].dtype == torch.bfloat16
    assert found["blocked"].message == "why"


@pytest.mark.parametrize("value", [object(), torch.zeros(1, dtype=torch.complex64), np.array("a")])
def test_what_can_not_cross_is_refused_before_anything_is_sent(tmp_path, value):
    with (tmp_path / "sent").open("wb") as stream, pytest.raises(CannotCrossError):
        write_message(stream, {"a": torch.ones(3), "value": value})
    endless: list[object] = []
    endless.append(endless)
    with (tmp_path / "sent").open("ab") as stream, pytest.raises(CannotCrossError, match="itself"):
        write_message(stream, {"value": endless})

    assert (tmp_path / "sent").read_bytes() == b""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[environments", "can not be read"),
        ("environments = 3", "can not be read"),
        ("[environments]\npakc = 'x'", "'pakc', which is not there. Did you mean 'pack'?"),
        ("[environments]\npack = 'gone'", "is not at"),
        ("[environments]\npack = 'old'", "has Python 3.1, nodegraph 3"),
    ],
)
def test_a_wrong_packs_file_is_told(tmp_path, text, message):
    (tmp_path / "packs.toml").write_text(text)
    (tmp_path / "old" / "bin").mkdir(parents=True)
    (tmp_path / "old" / "bin" / "python").touch()
    (tmp_path / "old" / "pyvenv.cfg").write_text("home = /usr\nversion = 3.1.4\n")

    found, (problem,) = venvs_of(tmp_path, ["pack"])

    assert found == {}
    assert message in str(problem)
