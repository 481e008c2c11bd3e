"""Which inputs of a workflow become fields, of which kind, with which ranges and names."""

import json
from dataclasses import replace

import pytest

from nodegraph.errors import UnknownNodeTypeError
from nodegraph.packs.object_info import object_info
from nodegraph.packs.registry import Registry
from nodegraph.settings.settings import Settings
from nodegraph.workflow.read import read_prompt, read_workflow
from server.form.errors import FieldError, FormError
from server.form.exposing import choose_fields, default_fields
from server.form.fields import Field
from tests.server.serving import WORKFLOWS


@pytest.fixture(scope="module")
def info():
    """What a server says of the built-in node types."""
    registry = Registry.load(["nodes"])
    files = Settings().files(registry.model_places)
    return json.loads(
        json.dumps({name: object_info(spec, files) for name, spec in registry.catalog.items()})
    )


def shipped(name):
    return read_workflow(WORKFLOWS / f"{name}.json")


def by_label(fields):
    return {field.label: field for field in fields}


def test_a_text_to_image_workflow_asks_for_what_people_expect(info):
    fields = by_label(default_fields(shipped("txt2img"), info))

    assert [(label, field.kind) for label, field in fields.items()] == [
        ("Prompt", "text"),
        ("Negative prompt", "text"),
        ("Checkpoint", "choice"),
        ("Width", "integer"),
        ("Height", "integer"),
        ("Images", "integer"),
        ("Steps", "integer"),
        ("CFG", "number"),
        ("Denoise", "number"),
        ("Seed", "seed"),
    ]
    assert "demo-shapes.safetensors" in fields["Checkpoint"].choices
    width = fields["Width"]
    assert (width.minimum, width.maximum, width.step, width.value) == (16, 16384, 8, 64)


def test_pictures_and_loras_are_asked_for(info):
    loaded = read_prompt({"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}})
    assert [(field.label, field.kind) for field in default_fields(loaded, info)] == [
        ("Picture", "image")
    ]
    labels = by_label(default_fields(shipped("lora"), info))
    assert labels["LoRA"].kind == "choice"
    assert labels["LoRA strength"].kind == "number"


def test_texts_without_a_title_are_called_after_what_they_are_for(info):
    graph = shipped("txt2img")
    untitled = replace(graph, nodes={k: replace(v, title=None) for k, v in graph.nodes.items()})

    assert [field.label for field in default_fields(untitled, info)][:2] == [
        "Prompt",
        "Negative prompt",
    ]


def test_values_that_nodes_hand_on_are_asked_for_where_they_stand(info):
    prompt = json.loads((WORKFLOWS / "txt2img.json").read_text())
    for number, (node, name) in {"8": ("4", "width"), "9": ("5", "seed")}.items():
        prompt[number] = {"class_type": "PrimitiveInt", "inputs": {"value": 128}}
        prompt[node]["inputs"][name] = [number, 0]
    fields = default_fields(read_prompt(prompt), info)

    assert [(one.label, one.node, one.kind) for one in fields if one.input == "value"] == [
        ("Width", "8", "integer"),
        ("Seed", "9", "seed"),
    ]


def test_names_that_are_there_twice_tell_their_nodes(info):
    labels = by_label(default_fields(shipped("hires_fix"), info))

    assert "Steps" not in labels
    assert len([label for label in labels if label.endswith(": Steps")]) == 2


def test_what_somebody_chose_is_asked_for_and_nothing_else(info):
    fields = choose_fields(shipped("txt2img"), info, [("5", "sampler_name"), ("2", "text")])

    assert [(field.label, field.kind) for field in fields] == [
        ("Sampler name", "choice"),
        ("Prompt", "text"),
    ]
    assert "euler" in fields[0].choices


@pytest.mark.parametrize("name", ["model", "stops"])
def test_what_no_form_can_ask_for_is_refused(info, name):
    with pytest.raises(FormError) as refused:
        choose_fields(shipped("txt2img"), info, [("5", name)])
    assert "seed, steps, cfg" in refused.value.hint


def test_a_node_type_that_the_server_lacks_is_named(info):
    graph = read_prompt({"1": {"class_type": "KSampller", "inputs": {}}})
    with pytest.raises(UnknownNodeTypeError, match="KSampller"):
        default_fields(graph, info)


def test_a_workflow_with_nothing_to_ask_for_says_so(info):
    graph = read_prompt({"1": {"class_type": "VAEDecode", "inputs": {}}})
    with pytest.raises(FormError, match="no inputs"):
        default_fields(graph, info)


def test_what_is_put_in_is_read_as_the_field_is():
    seed = Field(node="1", input="seed", kind="seed", label="Seed")

    assert seed.read(" 18446744073709551615 ") == 2**64 - 1
    assert replace(seed, kind="number").read(2) == 2.0
    assert replace(seed, kind="text").read("a circle") == "a circle"
    with pytest.raises(FieldError, match="Seed: 'a' is not a whole number"):
        seed.read("a")
    with pytest.raises(FieldError, match="not a number"):
        replace(seed, kind="number").read(None)
