"""A pack with an environment of its own: its nodes run in a process of that, and values cross."""

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

from nodegraph.errors import NodeGraphError, RunCancelledError
from nodegraph.execution.engine import Engine
from nodegraph.execution.events import Progress
from nodegraph.packs.registry import Registry
from nodegraph.runtime.run_environment import CancelToken
from nodegraph.workflow.read import read_prompt
from nodes.comfy.apart.errors import CannotCrossError
from nodes.comfy.apart.messages import read_message, write_message
from nodes.comfy.values.convert import ExecutionBlocker
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
    packs.write(root / "custom_nodes", "apart", APART)
    packs.write(root / "custom_nodes", "here", HERE)
    (root / "custom_nodes" / "packs.toml").write_text("[environments]\napart = '../venv'\n")
    path, finders = sys.path.copy(), list(sys.meta_path)
    sys.path.append(str(shared))
    settings = packs.settings_in(root)
    registry = Registry.from_settings(settings)
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
