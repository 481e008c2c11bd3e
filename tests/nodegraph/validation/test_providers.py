"""What provides what a workflow lacks, as its editor part says."""

import pytest

from nodegraph.errors import UnknownNodeTypeError
from nodegraph.graph.spec import InputSpec
from nodegraph.validation.problems import ValueNotInListError
from nodegraph.validation.providers import providers_of

MODEL = {"name": "a.safetensors", "url": "https://models.test/a", "directory": "loras"}


def node(type_name, **properties):
    return {"type": type_name, "properties": properties}


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        (
            {"cnr_id": "pack", "ver": "1.0"},
            "The pack 'pack' (1.0) has it. It is at https://registry.comfy.org/nodes/pack.",
        ),
        (
            {"cnr_id": "pack", "aux_id": "who/what", "ver": "c8f5fc0" + 33 * "0"},
            (
                "The pack 'pack' (c8f5fc0) has it."
                " To install it: git clone https://github.com/who/what custom_nodes/what"
            ),
        ),
        (
            {"aux_id": "who/what"},
            (
                "The pack 'what' has it."
                " To install it: git clone https://github.com/who/what custom_nodes/what"
            ),
        ),
        (
            {"cnr_id": "comfyui-kjnodes"},
            (
                "The pack 'comfyui-kjnodes' has it. To install it: git clone"
                " https://github.com/kijai/ComfyUI-KJNodes custom_nodes/ComfyUI-KJNodes"
            ),
        ),
        (
            {"cnr_id": "comfy-core", "ver": "0.3.27"},
            "It is one of ComfyUI's own (0.3.27); nodegraph can't run it yet.",
        ),
    ],
)
def test_packs_are_named_with_their_address_and_a_way_to_install_them(properties, expected):
    inner = {"nodes": [node("A", **properties)]}
    for editor in (inner, {"definitions": {"subgraphs": [inner]}}):
        problem = UnknownNodeTypeError("A", ["AA"])

        providers_of(editor).explain([problem])

        assert problem.hint == expected


def test_a_type_that_the_table_knows_needs_no_word_of_the_workflow():
    problem = UnknownNodeTypeError("FaceDetailer", ["FaceDetailerX"])

    providers_of(None).explain([problem])

    assert problem.hint.startswith("The pack 'ComfyUI-Impact-Pack' has it. To install it: git")
    assert problem.details["address"] == "https://github.com/ltdrdata/ComfyUI-Impact-Pack"


@pytest.mark.parametrize(
    "editor", [{"models": [MODEL]}, {"nodes": [node("A", models=[MODEL, None, 3])]}]
)
def test_models_are_named_with_their_address(editor):
    found = providers_of(editor).models["a.safetensors"]

    assert str(found) == "The workflow gets it from https://models.test/a, for models/loras."


def test_only_what_is_missing_is_explained():
    providers = providers_of({"nodes": [node("A", cnr_id="pack", models=[MODEL])]})
    unknown = UnknownNodeTypeError("A", [])
    lora = InputSpec(name="lora_name", socket="COMBO")
    missing = ValueNotInListError("1", lora, "a.safetensors", "is not there.", "There: b.")
    other = ValueNotInListError("1", lora, "c.safetensors", "is not there.", "There: b.")

    providers.explain([unknown, missing, other])

    assert unknown.hint.startswith("The pack 'pack' has it. ")
    assert missing.hint.endswith("/a, for models/loras. There: b.")
    assert other.hint == "There: b."


@pytest.mark.parametrize("editor", [None, {}, {"nodes": 3}, {"nodes": [None, {}]}, {"models": {}}])
def test_parts_of_any_shape_say_nothing(editor):
    assert not providers_of(editor).types
