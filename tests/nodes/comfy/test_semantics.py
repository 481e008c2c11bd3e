"""Declarations and calls that packs rely on, as ComfyUI handles them."""

import sys
from typing import Any

import pytest
import torch

from nodegraph.errors import InvalidWorkflowError
from nodegraph.execution.engine import Engine
from nodegraph.packs.loading import import_types
from nodegraph.packs.registry import Registry
from nodegraph.packs.routes import PackServer
from nodegraph.workflow.read import read_prompt
from nodes.comfy.host.node_classes import class_of
from nodes.comfy.values.convert import latent_to
from nodes.comfy.values.errors import NotOfferedError
from nodes.values import Latent
from tests.nodes.comfy import packs

PACK = """
import inspect
import os
import comfy
import nodes
import folder_paths
from aiohttp import web
from server import BinaryEventTypes, PromptServer

here = os.path.dirname(__file__)
open(os.path.join(here, "a.toy"), "w").close()
folder_paths.folder_names_and_paths["toy_models"] = ([here], {".toy"})
folder_paths.folder_names_and_paths["toy_nothing"] = ((), {".json"})
folder_paths.add_model_folder_path("toy_texts", os.path.join(here, "texts"))


def inputs(hidden=None, optional=None, **required):
    declared = {"required": required, "optional": optional or {}, "hidden": hidden or {}}
    return classmethod(lambda cls: declared)


class Node:
    INPUT_TYPES = inputs()
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"
    CATEGORY = "toys"

    def run(self, **given):
        return (repr(sorted(given.items())),)


class Hidden(Node):
    INPUT_TYPES = inputs({"start": "*", "version": "1.2", "me": "UNIQUE_ID"})


class Looks(Node):
    @classmethod
    def INPUT_TYPES(cls):
        class Anything:
            def __contains__(self, name):
                return True

            def __getitem__(self, name):
                return "*", {"lazy": True}

        called_by = inspect.stack()[2].function
        optional = Anything() if called_by == "get_input_info" else {"one": ("*",)}
        return {"required": {"select": ("INT",)}, "optional": optional}

    def run(self, select, **given):
        return (f"{given[f'input{select}']} of {len(given)}",)


class Counts(Node):
    INPUT_TYPES = inputs()
    RETURN_TYPES = ("INT",)

    def __init__(self):
        self.count = 0

    @classmethod
    def IS_CHANGED(cls):
        return float("nan")

    def run(self):
        self.count += 1
        return (self.count,)


class Flags(Node):
    INPUT_TYPES = inputs(flag=([False, True],))


class Colors(Node):
    INPUT_TYPES = inputs(color=("TOYCOLOR",), optional={"curve": ("TOYCURVE", {"default": "x"})})


class Pictures(Node):
    INPUT_TYPES = inputs(image=("IMAGE",))


class Files(Node):
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"file": (["none"] + folder_paths.get_filename_list("toy_models"),)}}

    def run(self, file):
        path = folder_paths.get_full_path("toy_models", file)
        outside = folder_paths.get_full_path("toy_models", "../../secret.toy")
        texts = folder_paths.get_folder_paths("toy_texts")
        return (f"{os.path.basename(path)} {outside} {[os.path.basename(each) for each in texts]}",)


class Shows(Node):
    INPUT_TYPES = inputs()
    OUTPUT_NODE = True
    RETURN_TYPES = ()

    def run(self):
        return {"ui": {"text": map(str, [1, 2])}}


class Server(Node):
    def run(self):
        server = PromptServer.instance
        names = [name in nodes.NODE_CLASS_MAPPINGS for name in ("Server", "Direct", "Nobodys")]
        users = server.user_manager
        mine = users.get_request_user_filepath(None, "mine/a.json")
        assert os.path.isdir(os.path.dirname(mine))
        assert users.get_request_user_filepath(None, "../../outside.json") is None
        assert users.get_request_user_id(None) in users.users
        return (f"{server.last_node_id} {server.client_id} {names}",)


async def handler(request):
    return None


app = PromptServer.instance.app
assert not app.frozen and not app.router.frozen and BinaryEventTypes.TEXT == 3
app.router.add_get("/toys/got", handler)
app.router.add_route("PUT", "/toys/put", handler)
app.add_routes([web.static("/toys/files", here), web.get("/toys/table", handler)])
PromptServer.instance.routes.static("/toys/gone", "/nowhere/at/all")
nodes.EXTENSION_WEB_DIRS["toys-of-mine"] = here
for module in (nodes, folder_paths, comfy, inspect.getmodule(PromptServer)):
    assert os.path.dirname(inspect.getfile(PromptServer)) in module.__file__
for name in ("output_directory", "temp_directory", "input_directory", "user_directory"):
    assert os.path.isdir(getattr(folder_paths, name)), name
assert os.path.dirname(folder_paths.input_directory) == os.path.dirname(folder_paths.__file__)
nodes.NODE_CLASS_MAPPINGS.update({"Direct": Node})
kinds = (Hidden, Looks, Counts, Flags, Colors, Pictures, Files, Shows, Server)
NODE_CLASS_MAPPINGS = {kind.__name__: kind for kind in kinds}
"""


@pytest.fixture
def server():
    """The server that the pack adds its routes to."""
    return PackServer()


@pytest.fixture
def run(import_pack, host_settings, server):
    """A function that runs one node of the pack."""
    types = import_pack(PACK, server=server)
    engine = Engine(Registry.from_types(*types.values()), host_settings.files())

    def run_node(type_name, **inputs):
        graph = read_prompt({"1": {"class_type": type_name, "inputs": inputs}})
        result = engine.run(graph, targets=["1"])
        shown = result.ui.get("1")
        return shown.as_dict() if shown else result.outputs["1"][0]

    return run_node


def test_hidden_inputs_of_other_kinds_are_passed_only_if_they_are_given(run):
    assert run("Hidden") == "[('me', '1')]"
    assert run("Hidden", start=5, other=6) == "[('me', '1'), ('start', 5)]"


def test_a_class_that_looks_for_comfyui_s_executor_gets_inputs_of_any_name(run):
    assert run("Looks", select=2, input1="a", input2="b") == "b of 2"


def test_a_node_keeps_its_object_from_run_to_run(run):
    assert [run("Counts"), run("Counts")] == [1, 2]


def test_choices_may_be_booleans(run):
    assert run("Flags", flag=True) == "[('flag', True)]"
    assert run("Flags", flag=False) == "[('flag', False)]"


def test_a_widget_of_a_packs_own_type_has_a_literal(run):
    given = run("Colors", color="#ff0000", curve={"a": 1})

    assert given == "[('color', '#ff0000'), ('curve', {'a': 1})]"
    with pytest.raises(InvalidWorkflowError):
        run("Pictures", image="red")


def test_a_folder_of_a_packs_own_lists_files_of_its_suffixes(import_pack):
    assert import_pack(PACK)["Files"].spec.input("file").choices == ("none", "a.toy")


def test_a_file_of_a_packs_own_folder_is_found_and_none_outside_of_it(run):
    assert run("Files", file="a.toy") == "a.toy None ['texts']"


def test_ui_values_may_be_iterators(run):
    assert run("Shows") == {"text": ["1", "2"]}


def test_a_pack_finds_itself_among_all_classes_and_adds_some_there(run):
    assert run("Server") == "1 None [True, True, False]"
    assert run("Direct") == "[]"


def test_routes_may_be_added_to_the_application(run, server):
    routes = {(route.method, route.path) for route in server.routes}

    assert routes == {("GET", "/toys/got"), ("PUT", "/toys/put"), ("GET", "/toys/table")}


def test_latents_are_contiguous():
    samples = torch.zeros(1, 4, 8, 8).to(memory_format=torch.channels_last)

    assert latent_to(Latent(samples))["samples"].is_contiguous()


def test_classes_of_comfy_extras_have_their_methods():
    solid: Any = class_of("SolidMask")()
    (mask,) = solid.solid(0.5, 4, 2)

    assert mask.shape == (1, 2, 4)


SCHEMAS = """
from enum import Enum
from comfy_api.latest import ComfyExtension, Types, io
from comfy_extras.nodes_lt import LTXVAddGuide
from comfy_extras.nodes_mask import SolidMask


class Order(str, Enum):
    FIRST = "first"
    LAST = "last"


class Choices(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Choices",
            inputs=[
                io.Combo.Input("order", Order, "which one", default=Order.LAST),
                io.Combo.Input("codec", options=Types.VideoCodec.as_input(), default="auto"),
            ],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, order, codec):
        return io.NodeOutput(f"{order} {Types.VideoCodec(codec).name}")


class Fewer(SolidMask):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="Fewer", inputs=[], outputs=[io.String.Output()])

    @classmethod
    def execute(cls):
        return io.NodeOutput(cls.__name__)


class Guides(LTXVAddGuide):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="Guides", inputs=[], outputs=[io.String.Output()])


class Extension(ComfyExtension):
    async def get_node_list(self):
        return [Choices]


def comfy_entrypoint():
    return Extension()


NODE_CLASS_MAPPINGS = {"Fewer": Fewer, "Guides": Guides}
"""


@pytest.fixture
def schema_types(import_pack):
    """The node types of the pack of the v3 contract."""
    return import_pack(SCHEMAS)


@pytest.fixture
def run_schema(schema_types, host_settings):
    """A function that runs one node of that pack, without a link."""
    engine = Engine(Registry.from_types(*schema_types.values()), host_settings.files())

    def run_node(type_name, **inputs):
        graph = read_prompt({"1": {"class_type": type_name, "inputs": inputs}})
        return engine.run(graph, targets=["1"]).outputs["1"][0]

    return run_node


def test_choices_of_a_schema_are_enumerations_and_named_by_place(run_schema, schema_types):
    order = schema_types["Choices"].spec.input("order")

    assert (order.choices, order.default) == (("first", "last"), "last")
    assert order.widget["display_name"] == "which one"
    assert run_schema("Choices", order="first", codec="h264") == "first H264"


def test_classes_of_comfy_extras_may_get_a_schema_in_a_pack(run_schema):
    assert run_schema("Fewer") == "Fewer"
    with pytest.raises(NotOfferedError, match=r"comfy_extras\.nodes_lt\.LTXVAddGuide"):
        run_schema("Guides")


LINKED = """
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import toys_beside

sys.path.pop(0)
NODE_CLASS_MAPPINGS = {"ToyLinked": toys_beside.Linked}
"""
BESIDE = """
import comfy.samplers
from nodes import PreviewImage


class Linked(PreviewImage):
    pass
"""


def test_a_packs_folder_may_be_a_symbolic_link(import_pack, host_settings, tmp_path):
    root = packs.write(tmp_path / "elsewhere", "linked", LINKED, toys_beside=BESIDE)
    host_settings.custom_nodes_dir.mkdir()
    (host_settings.custom_nodes_dir / "linked").symlink_to(root)
    import_pack("NODE_CLASS_MAPPINGS = {}")  # Finds the other, too.

    (found,) = import_types("custom_nodes.linked", "linked")

    assert found.spec.name == "ToyLinked"
    assert sys.modules.pop("toys_beside").__file__ == str(root / "toys_beside.py")
