"""Nodes of packs that get nothing but empty lists: called once without them, or not at all."""

import pytest

from nodegraph.execution.engine import Engine
from nodegraph.packs.registry import Registry
from nodegraph.workflow.read import read_prompt
from nodes.builtin.text.preview_any import preview_any

PACK = """
class Node:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"x": ("STRING", {"forceInput": True})}})
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"
    CATEGORY = "toys"


class Empty:
    INPUT_TYPES = classmethod(lambda cls: {"required": {}})
    RETURN_TYPES = ("STRING",)
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "run"

    def run(self):
        return ([],)


class Defaults(Node):
    def run(self, x="nothing", **more):
        return (x,)


class Static(Node):
    @staticmethod
    def run(x="nothing"):
        return (x,)


class Needs(Node):
    def run(self, x):
        return (x,)


class Two(Defaults):
    INPUT_TYPES = classmethod(lambda cls: {"required": {"x": ("STRING",), "y": ("STRING",)}})


class Asks(Defaults):
    INPUT_TYPES = classmethod(
        lambda cls: {"required": {"x": ("STRING",)}, "hidden": {"me": "UNIQUE_ID"}}
    )


class Abstract(Node):
    FUNCTION = None


del Abstract.FUNCTION, Node.FUNCTION
for kind in (Defaults, Static, Needs):
    kind.FUNCTION = "run"
kinds = (Empty, Defaults, Static, Needs, Two, Asks, Abstract)
NODE_CLASS_MAPPINGS = {kind.__name__: kind for kind in kinds}
"""


@pytest.fixture
def result(import_pack, host_settings):
    """A function from a node type and its further inputs to the result of its node."""
    types = [*import_pack(PACK).values(), preview_any]
    engine = Engine(Registry.from_types(*types), host_settings.files())

    def run(type_name, name="x", **inputs):
        graph = read_prompt(
            {
                "1": {"class_type": "Empty", "inputs": {}},
                "2": {"class_type": type_name, "inputs": {name: ["1", 0], **inputs}},
            }
        )
        return engine.run(graph, targets=["2"])

    return run


@pytest.mark.parametrize("name", ["Defaults", "Static"])
def test_a_function_with_defaults_is_called_once(result, name):
    assert result(name).outputs["2"] == (("nothing",),)


@pytest.mark.parametrize("name", ["Needs", "Asks"])
def test_a_function_that_needs_more_is_not_called(result, name):
    assert result(name).outputs["2"] == ((),)


def test_a_class_without_a_function_is_declared_all_the_same(import_pack):
    assert "Abstract" in {each.spec.name for each in list(import_pack(PACK).values())[1:]}


def test_nor_is_one_with_another_input(result):
    assert result("Two", y="a").outputs["2"] == ((),)


def test_preview_any_shows_none(result):
    assert result("PreviewAny", name="source").ui["2"].values == {"text": ["None"]}
