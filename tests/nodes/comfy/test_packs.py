"""Packs that were written for ComfyUI, run by this engine."""

import json
import os
import sys
from dataclasses import replace
from typing import Any

import pytest

from nodegraph.errors import InvalidWorkflowError, NodeGraphError, NotHereError, PackError
from nodegraph.execution.engine import Engine
from nodegraph.execution.events import Notice, Progress
from nodegraph.packs.catalog import PackSource, describe_apart
from nodegraph.packs.object_info import object_info
from nodegraph.packs.registry import Registry
from nodegraph.packs.routes import PackRoute, PackServer
from nodegraph.workflow.read import read_prompt
from nodes.comfy.callbacks import InputCheck
from nodes.comfy.discovery import packs_in
from nodes.comfy.host.comfy.comfy_utils import load_torch_file
from nodes.comfy.values import runtime
from nodes.comfy.values.errors import NotOfferedError, TooSlowError
from nodes.models.weights.errors import PickleRefusedError
from tests.nodes.comfy import packs

TEXT = {"class_type": "CLIPTextEncode", "inputs": {"text": "a", "clip": ["model", 1]}}
MODEL = {
    "class_type": "CheckpointLoaderSimple",
    "inputs": {"ckpt_name": "demo-shapes.safetensors"},
}
EMPTY = {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    root = tmp_path_factory.mktemp("host")
    packs.toys(root / "custom_nodes")
    packs.write(root / "custom_nodes", "clash", packs.CLASH)
    packs.write(root / "custom_nodes", "schemas", packs.SCHEMAS)
    packs.write(root / "custom_nodes", "old.disabled", "syntax error")
    for name, text in {**packs.BROKEN, **packs.LOOKING}.items():
        packs.write(root / "custom_nodes", name, text)
    return packs.settings_in(root)


@pytest.fixture(scope="module")
def messages():
    """What packs tell their clients."""
    return []


@pytest.fixture(scope="module")
def server(messages):
    return PackServer(lambda *message: messages.append(message))


@pytest.fixture(scope="module")
def registry(settings, server):
    return Registry.from_settings(settings, server)


@pytest.fixture(scope="module")
def engine(settings, registry):
    return Engine(registry, settings.files(registry.model_places))


def run(engine, target, /, emit=None, **nodes):
    """The outputs of one node of a graph, and what it shows."""
    graph = read_prompt(nodes)
    result = engine.run(graph, targets=[target], emit=emit, extra_pnginfo={"workflow": {}})
    return result.outputs[target], result.ui.get(target)


def node(name, **inputs) -> dict[str, Any]:
    return {"class_type": f"Toy{name}", "inputs": inputs}


def test_what_packs_declare_is_known_without_importing_them(registry, settings):
    info: Any = object_info(registry.spec("ToyArithmetic"), settings.files())

    assert info["input"]["required"]["a"] == [
        "INT",
        {"default": 1, "min": 0, "max": 16384, "display": "slider"},
    ]
    assert info["input"]["required"]["factor"] == [["1", "2", "4"], {"default": 2}]
    assert info["input"]["optional"]["b"] == ["INT", {"default": 7}]
    assert info["output"] == ["INT", "STRING"]
    assert info["output_name"] == ["sum", "STRING"]
    assert info["display_name"] == "Arithmetic of a toy"
    assert info["description"] == "Adds."
    assert info["python_module"] == "custom_nodes.toy-pack 1_0"
    assert info["experimental"]
    assert registry.spec("ToyWild").outputs[0].socket == "*"


def test_a_packs_scripts_for_the_editor_are_found(registry):
    (pack,) = [pack for pack in registry.packs if pack.name == "toy-pack 1_0"]

    assert (pack.web / "toys.js").is_file()


def test_broken_packs_are_reported_and_the_others_work(registry):
    told = {
        str(problem).partition("'")[2].partition("'")[0]: str(problem)
        for problem in registry.problems
    }

    assert "SyntaxError" in told["syntax"]
    assert "ended without a result" in told["exits"]
    assert "torch.nn.functional.silu" in told["patches"]
    assert "a_package_that_nobody_has" in told["missing"]
    assert "comfy.a_part_that_it_never_had" in told["deep"]
    assert "old" not in told
    assert "ToyArithmetic" in registry.catalog


def test_a_node_type_whose_name_is_taken_is_left_out_and_its_pack_is_not(registry, engine):
    (conflict,) = [str(problem) for problem in registry.problems if "KSampler" in str(problem)]

    assert "'clash'" in conflict
    assert registry.spec("KSampler").module == "nodes.builtin.sampling.ksampler"
    assert run(engine, "1", **{"1": {"class_type": "OnlyMine", "inputs": {}}})[0] == (42,)
    assert registry.find("KSampler").spec.module == "nodes.builtin.sampling.ksampler"


def test_a_pack_reads_no_pickle_unless_that_is_allowed(settings, tmp_path):
    path = tmp_path / "old.ckpt"
    path.write_bytes(b"\x80\x02}.")

    with (
        runtime.with_files(settings.files()),
        pytest.raises(PickleRefusedError, match=r"'old\.ckpt' is a pickle.*--allow-pickle"),
    ):
        load_torch_file(str(path))
    with (
        runtime.with_files(replace(settings, allow_pickle=True).files()),
        pytest.raises(NotHereError, match="not converted yet"),
    ):
        load_torch_file(str(path))


def test_a_pack_that_hangs_is_given_up(settings, tmp_path, server):
    root = packs.write(tmp_path / "custom_nodes", "hangs", "import time\ntime.sleep(600)\n")
    sources, problems = packs_in(replace(settings, custom_nodes_dir=root.parent), server)

    assert not problems
    with pytest.raises(PackError, match="took more than 2 s"):
        describe_apart(sources[0], patience=2.0)
    packs_in(settings, server)  # the other folder again


def test_hidden_inputs_defaults_and_choices_arrive_as_the_class_wants_them(engine):
    outputs, _ = run(engine, "1", **{"1": node("Arithmetic", a=3, factor="4")})

    assert outputs == (112, "1 of 1 ['workflow']")
    with pytest.raises(InvalidWorkflowError):
        run(engine, "1", **{"1": node("Arithmetic", a=-3, factor=4)})
    with pytest.raises(InvalidWorkflowError):
        run(engine, "1", **{"1": node("Arithmetic", a=3, factor=3)})


def test_what_packs_added_stays_when_their_folder_is_loaded_again(registry, settings, server):
    module = registry.find("ToyArithmetic").function.kind.__module__
    before = sys.modules[module]
    route = PackRoute("GET", "/toys", print)
    server.routes.append(route)
    again = PackServer()

    packs_in(settings, again)

    assert sys.modules[module] is before
    assert runtime.current().server is again
    assert route in again.routes
    packs_in(settings, server)  # the first server again


def test_lists_of_files_are_those_of_the_moment(engine, registry):
    spec = registry.spec("ToyFiles").input("lora")
    outputs, _ = run(
        engine, "1", **{"1": node("Files", lora="demo-outline-lora.safetensors", sampler="euler")}
    )

    assert (spec.model_folder, spec.choices) == ("loras", ("None",))
    assert outputs == ("demo-outline-lora.safetensors True euler",)
    assert run(engine, "1", **{"1": node("Files", lora="None", sampler="heun")})[0] == (
        "None False heun",
    )


def test_inputs_of_any_name_and_type_are_taken(engine):
    graph = {"1": node("Lists", count=1), "2": node("Wild", x=1, y={"a": [1]}, z=["1", 0])}

    assert run(engine, "2", **graph)[0] == (("x=1, y={'a': [1]}, z=0",),)
    graph["2"]["inputs"]["x"] = 2
    assert run(engine, "2", **graph)[0] == (("x=2, y={'a': [1]}, z=0",),)


def test_lists_are_spread_and_gathered(engine):
    graph = {
        "1": node("Lists", count=4),
        "2": node("Arithmetic", a=["1", 0], factor="2", b=0),
        "3": node("Total", numbers=["2", 0]),
    }

    assert run(engine, "3", **graph)[0] == (12,)


def test_lazy_inputs_are_computed_only_if_asked_for(engine):
    graph = {"1": node("Boom"), "2": node("Lists", count=1), "3": node("Total", numbers=["2", 0])}
    chosen = node("Choose", first=False, one=["1", 0], two=["3", 0])

    assert run(engine, "4", **graph, **{"4": chosen})[0] == (0,)
    chosen["inputs"]["first"] = True
    with pytest.raises(NodeGraphError, match="never to be computed"):
        run(engine, "4", **graph, **{"4": chosen})


def test_a_node_shows_returns_and_tells(engine, messages):
    messages.clear()
    events = []
    outputs, ui = run(engine, "1", events.append, **{"1": node("Shows", text="hi")})

    assert outputs == ("HI",)
    assert ui.as_dict() == {"text": ["hi"]}
    told = {"text": "hi", "client": None, "node": "1"}
    assert [message[:2] for message in messages] == [("toys.shown", told)]
    assert messages[0][2]
    assert [(e.value, e.total) for e in events if isinstance(e, Progress)] == [(3, 4)]


def test_a_node_grows_into_a_graph(engine):
    assert run(engine, "1", **{"1": node("Grows", a=5)})[0] == (11,)


def test_a_class_refuses_inputs_and_says_what_changed(engine):
    def count(state="x", **inputs):
        return run(engine, "1", **{"1": node("Picky", state=state, **inputs)})[0][0]

    assert count(kind="not in the list", state="x") == count(kind="not in the list", state="x")
    assert count(kind="a", state="always") != count(kind="a", state="always")
    with pytest.raises(InvalidWorkflowError, match="kind must not be bad"):
        count(kind="bad")


def test_a_check_that_hangs_is_given_up(registry, settings):
    check = registry.find("ToyPicky").check
    assert isinstance(check, InputCheck)

    with pytest.raises(TooSlowError):
        replace(check, patience=0.2)({"kind": "slow"}, {}, settings.files())


def test_what_a_pack_puts_into_a_latent_or_a_condition_survives(engine):
    graph = {
        "model": MODEL,
        "text": TEXT,
        "empty": EMPTY,
        "mark": node("Latents", latent=["empty", 0], conditioning=["text", 0]),
        "repeat": {
            "class_type": "RepeatLatentBatch",
            "inputs": {"samples": ["mark", 0], "amount": 2},
        },
        "late": {
            "class_type": "ConditioningSetTimestepRange",
            "inputs": {"conditioning": ["mark", 1], "start": 0.1, "end": 1.0},
        },
        "read": node("Reads", latent=["repeat", 0], conditioning=["late", 0]),
    }

    events = []
    outputs, _ = run(engine, "read", events.append, **graph)

    assert outputs == ("by a toy by a toy 0.5 1.0",)
    assert not [event for event in events if isinstance(event, Notice)]  # no input was written to


def test_packs_call_our_node_types_under_their_names(engine):
    (image, latent), _ = run(
        engine, "1", model=MODEL, **{"1": node("Borrows", vae=["model", 2], method="bilinear")}
    )

    assert image.shape == (1, 32, 32, 3)
    assert latent.samples.shape[-2:] == (4, 4)


def test_a_class_derived_from_ours_previews_pictures(engine, settings):
    empty = {
        "class_type": "EmptyImage",
        "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 0},
    }
    _, ui = run(engine, "2", **{"1": empty, "2": node("Previews", images=["1", 0])})

    (artifact,) = ui.artifacts["images"]
    assert artifact.type == "temp"
    assert (settings.temp_dir / artifact.filename).is_file()


def test_a_guidance_function_guides(engine):
    def sampled(sharp):
        graph = {
            "model": MODEL,
            "text": TEXT,
            "empty": EMPTY,
            "guided": node("Guides", model=["model", 0], sharp=sharp),
            "sample": {
                "class_type": "KSampler",
                "inputs": {
                    "model": ["guided" if sharp else "model", 0],
                    "positive": ["text", 0],
                    "negative": ["text", 0],
                    "latent_image": ["empty", 0],
                    "seed": 1,
                    "steps": 2,
                    "cfg": 4.0,
                    "sampler_name": "euler",
                    "scheduler": "normal",
                    "denoise": 1.0,
                },
            },
        }
        return run(engine, "sample", **graph)[0][0].samples

    assert sampled(1.0).allclose(sampled(None), atol=1e-5)
    assert not sampled(0.9).allclose(sampled(None), atol=1e-2)


def test_what_would_change_a_network_from_within_is_refused(engine):
    with pytest.raises(NotOfferedError, match="set_model_double_block_patch"):
        run(engine, "1", model=MODEL, **{"1": node("Inside", model=["model", 0])})


def test_a_pack_samples_with_the_noise_of_a_seed(engine):
    graph = {"model": MODEL, "text": TEXT, "empty": EMPTY}
    links: dict[str, Any] = {
        "model": ["model", 0],
        "cond": ["text", 0],
        "latent": ["empty", 0],
    }
    (plain, custom, itself), _ = run(
        engine, "1", **graph, **{"1": node("Samples", **links, strange=False)}
    )

    assert plain.samples.equal(itself.samples)
    assert custom.samples.allclose(itself.samples, atol=1e-5)
    assert plain.samples.any()
    (strange, _, _), _ = run(engine, "1", **graph, **{"1": node("Samples", **links, strange=True)})
    assert not strange.samples.allclose(plain.samples, atol=1e-2)


def test_a_pack_loads_a_checkpoint_by_its_path(engine):
    (model, told), _ = run(engine, "1", **{"1": node("Loads", file="demo-shapes.safetensors")})

    assert (type(model).__name__, told) == ("ModelHandle", "True None")
    with pytest.raises(NotOfferedError, match=r"'mine\.safetensors'.*models_dir"):
        run(engine, "1", **{"1": node("Loads", file="/elsewhere/mine.safetensors")})


def test_our_own_modules_stay_what_they_are(engine):
    run(engine, "1", **{"1": node("Lists", count=1)})
    import nodes
    import server

    assert nodes.PACK.name == "nodes"
    assert not hasattr(server, "PromptServer")


def test_a_catalog_is_kept_until_a_file_of_the_pack_changes(settings, server):
    (source,) = [pack for pack in packs_in(settings, server)[0] if pack.name == "clash"]
    (settings.custom_nodes_dir / "clash" / "styles.json").write_text(json.dumps({}))
    (changed,) = [pack for pack in packs_in(settings, server)[0] if pack.name == "clash"]

    assert isinstance(source, PackSource)
    assert source.digest() != changed.digest()


def test_schemas_are_read(registry, settings):
    info: Any = object_info(registry.spec("SchemaScale"), settings.files())

    assert info["input"]["required"] == {
        "image": ["IMAGE", {}],
        "factor": ["FLOAT", {"default": 2.0, "min": 0.0, "max": 4.0, "step": 0.5}],
        "mode": [["times", "over"], {}],
    }
    assert info["input"]["optional"]["repeat"] == ["INT", {"default": 1, "display": "slider"}]
    assert info["input"]["optional"]["toy"] == ["TOY", {}]
    assert info["output"] == ["IMAGE", "STRING"]
    assert info["output_name"] == ["IMAGE", "told"]
    assert (info["category"], info["description"]) == ("toys/v3", "Multiplies.")
    assert info["display_name"] == "Scale"


def test_a_node_of_a_schema_runs_checks_and_shows(engine):
    image = {
        "class_type": "EmptyImage",
        "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 0x404040},
    }
    scale: dict[str, Any] = {
        "class_type": "SchemaScale",
        "inputs": {"image": ["1", 0], "factor": 2.0, "mode": "times"},
    }
    (scaled, told), ui = run(engine, "2", **{"1": image, "2": scale})

    assert float(scaled[0, 0, 0, 0]) == pytest.approx(128 / 255)
    assert told == "2 1"
    assert ui.as_dict() == {"text": ["times"]}
    scale["inputs"]["factor"] = 3.0
    with pytest.raises(InvalidWorkflowError, match="must not be 3"):
        run(engine, "2", **{"1": image, "2": scale})


def test_a_node_of_a_schema_leaves_lazy_inputs_alone(engine):
    pick = {
        "class_type": "SchemaPick",
        "inputs": {"first": False, "one": ["1", 0], "two": ["2", 0]},
    }
    graph = {"1": node("Boom"), "2": node("Arithmetic", a=1, factor=1, b=1), "3": pick}

    assert run(engine, "3", **graph)[0] == (2,)


def test_what_reads_a_blocked_output_does_not_run(engine):
    stop: dict[str, Any] = {"class_type": "SchemaStop", "inputs": {"stop": True}}
    graph = {
        "1": stop,
        "2": node("Arithmetic", a=["1", 0], factor=1, b=1),
        "3": node("Shows", text=["2", 1]),
    }
    _, ui = run(engine, "3", **graph)

    assert ui is None
    stop["inputs"]["stop"] = False
    assert run(engine, "3", **graph)[1].as_dict() == {"text": ["2 of 3 ['workflow']"]}


@pytest.mark.parametrize(("text", "is_new"), [("a: 1", False), ("a: 2", True)])
def test_a_data_file_that_a_pack_writes_anew_is_no_change(tmp_path, server, text, is_new):
    folder = packs.write(tmp_path / "custom_nodes", "writes", "NODE_CLASS_MAPPINGS = {}")
    config = folder / "config.yaml"
    config.write_text("a: 1")
    os.utime(config, (1, 1))
    settings = packs.settings_in(tmp_path)
    (before,), _ = packs_in(settings, server)

    config.write_text(text)
    (after,), _ = packs_in(settings, server)

    assert (after.digest() != before.digest()) is is_new


def test_an_edited_pack_is_read_again(settings, tmp_path, server):
    own = replace(settings, custom_nodes_dir=tmp_path / "custom_nodes")
    root = packs.write(own.custom_nodes_dir, "edited", packs.CLASH)
    registry = Registry.from_settings(own)
    engine = Engine(registry, own.files())
    graph = {"1": {"class_type": "OnlyMine", "inputs": {}}}
    before, _ = run(engine, "1", **graph)
    (root / "__init__.py").write_text((root / "__init__.py").read_text().replace("42", "43000"))

    assert registry.refresh() == ["edited"]
    assert (before, run(engine, "1", **graph)[0]) == ((42,), (43000,))
    packs_in(settings, server)  # the other folder again


def test_a_pack_that_removes_what_it_imported_harms_no_library(import_pack):
    types = import_pack(
        """
        import sys

        before = set(sys.modules)
        import wave

        for name in set(sys.modules) - before:
            del sys.modules[name]

        class Lists:
            FUNCTION = "names"
            RETURN_TYPES = ("BOOLEAN",)

            @classmethod
            def INPUT_TYPES(cls):
                return {"required": {}}

            def names(self):
                import wave as again
                return (again is wave,)

        NODE_CLASS_MAPPINGS = {"Lists": Lists}
        """,
        name="removes",
    )

    assert types["Lists"]() is True


def test_a_type_that_equals_every_other_takes_any_value(import_pack):
    types = import_pack(
        """
        class Any(str):
            def __eq__(self, other):
                return True

            def __ne__(self, other):
                return False

            __hash__ = str.__hash__

        class Hands:
            FUNCTION = "hand"
            RETURN_TYPES = (Any("*"),)

            @classmethod
            def INPUT_TYPES(cls):
                return {"required": {"value": (Any("*"),)}}

            def hand(self, value):
                return (value,)

        NODE_CLASS_MAPPINGS = {"Hands": Hands}
        """,
        name="equal",
    )

    (value,) = types["Hands"].spec.inputs
    assert (value.socket, value.template) == ("*", "")
    assert types["Hands"](value=3) == 3


def look(engine, name=""):
    """The answer of a pack's node that looks for a class of that name, or for some names."""
    asking = {"class_type": "ToyAsks", "inputs": {"name": name}}
    return run(engine, "1", **{"1": asking})[0][0]


def test_a_look_up_of_a_name_imports_the_pack_that_has_it(engine):
    assert look(engine) == "(True, True, False) None [False, False]"
    assert "custom_nodes.twice" not in sys.modules, "names are known without"
    assert look(engine, "ToyTwice") == "(42, (True, False))", (
        "the other pack finds the first, which is there"
    )
    assert look(engine, "ToBasicPipe") == '("the pack\'s own",)', "our stand-in gives way"


def test_a_pack_that_can_not_be_imported_is_told(engine):
    with pytest.raises(PackError, match="not beside others"):
        look(engine, "ToyFails")
