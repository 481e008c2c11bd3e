"""What provides what a workflow lacks, as its editor part says."""

import pytest

from nodegraph.errors import UnknownNodeTypeError
from nodegraph.validation.problems import ValueNotInListError
from nodegraph.validation.providers import providers_of

MODEL = {"name": "a.safetensors", "url": "https://models.test/a", "directory": "loras"}


def node(type_name, **properties):
    return {"type": type_name, "properties": properties}


def test_packs_are_named_by_registry_or_address_also_in_subgraphs():
    inner = {"nodes": [node("C", cnr_id="comfy-core", ver="0.3.64")]}
    editor = {
        "nodes": [node("A", cnr_id="pack", ver="1.0"), node("B", aux_id="who/what")],
        "definitions": {"subgraphs": [inner]},
    }

    assert providers_of(editor).types == {
        "A": "The pack 'pack' (1.0) has it.",
        "B": "The pack github.com/who/what has it.",
        "C": "It is one of ComfyUI's own (0.3.64).",
    }


@pytest.mark.parametrize(
    "editor", [{"models": [MODEL]}, {"nodes": [node("A", models=[MODEL, None, 3])]}]
)
def test_models_are_named_with_their_address(editor):
    hint = "The workflow gets it from https://models.test/a, for models/loras."

    assert providers_of(editor).models == {"a.safetensors": hint}


def test_only_what_is_missing_is_explained():
    providers = providers_of({"nodes": [node("A", cnr_id="pack", models=[MODEL])]})
    unknown = UnknownNodeTypeError("A", [])
    missing = ValueNotInListError("1", "lora_name", "a.safetensors", "is not there.", "There: b.")
    other = ValueNotInListError("1", "lora_name", "c.safetensors", "is not there.", "There: b.")

    providers.explain([unknown, missing, other])

    assert unknown.hint.startswith("The pack 'pack' has it. ")
    assert missing.hint.endswith("/a, for models/loras. There: b.")
    assert other.hint == "There: b."


@pytest.mark.parametrize("editor", [None, {}, {"nodes": 3}, {"nodes": [None, {}]}, {"models": {}}])
def test_parts_of_any_shape_say_nothing(editor):
    assert not providers_of(editor).types
