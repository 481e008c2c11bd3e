"""All that is missing, each thing once, with a summary."""

from typing import Any

import pytest

from nodegraph.errors import PackError, UnknownNodeTypeError
from nodegraph.graph.spec import InputSpec
from nodegraph.validation.missing import is_missing, missing_in
from nodegraph.validation.problems import ValueNotInListError
from nodegraph.validation.providers import providers_of

FACE = "https://github.com/ltdrdata/ComfyUI-Impact-Pack"
EDITOR = {"models": [{"name": "a.safetensors", "url": "https://m.test/a", "directory": "loras"}]}


def unknown(node_id, type_name):
    return UnknownNodeTypeError(type_name, [], node_id=node_id)


def model(node_id, name, folder="loras"):
    spec = InputSpec(name="n", socket="COMBO", model_folder=folder)
    return ValueNotInListError(node_id, spec, name, "is not", "There: b.")


def sort(*problems, left_out=()):
    providers = providers_of(EDITOR)
    providers.explain(problems)
    return missing_in(problems, providers, left_out)


def test_types_are_grouped_by_their_packs_and_models_by_their_folders():
    found = sort(
        unknown("1", "FaceDetailer"),
        unknown("2", "SAMLoader"),
        model("3", "a.safetensors"),
        unknown("4", "FaceDetailer"),
        unknown("5", "Painter"),
        unknown("6", "Nobody has this"),
        model("7", "a.safetensors"),
        model("8", "b.safetensors", "vae"),
    )

    (pack,) = found.packs
    assert pack.origin.address == FACE
    assert [(item.name, item.nodes) for item in pack.types] == [
        ("FaceDetailer", ("1", "4")),
        ("SAMLoader", ("2",)),
    ]
    assert found.newer
    assert [item.name for item in found.newer.types] == ["Painter"]
    assert [item.name for item in found.types] == ["Nobody has this"]
    assert [(item.name, item.folder, item.nodes) for item in found.models] == [
        ("a.safetensors", "loras", ("3", "7")),
        ("b.safetensors", "vae", ("8",)),
    ]
    assert found.summary == "1 pack, 1 node type, 2 models and 1 newer node are missing."
    data: Any = found.as_dict()
    assert data["packs"][0]["address"] == FACE
    assert data["models"][0]["url"] == "https://m.test/a"
    assert data["newer_nodes"][0]["nodes"] == ["5"]


@pytest.mark.parametrize(
    ("problems", "summary"),
    [
        ([unknown("1", "FaceDetailer"), unknown("2", "FaceDetailer")], "1 pack is missing."),
        ([model("1", "x")], "1 model is missing."),
        ([model("1", "x"), model("1", "y")], "2 models are missing."),
        (
            [unknown("1", "Painter"), model("1", "y")],
            "1 model and 1 newer node are missing.",
        ),
    ],
)
def test_the_summary_counts(problems, summary):
    assert sort(*problems).summary == summary


def test_a_pack_that_was_left_out_is_named_with_the_reason():
    error = PackError("it wants numba.", details={"pack": "comfyui-impact-pack"})
    other = PackError("elsewhere.")

    (pack,) = sort(unknown("1", "FaceDetailer"), left_out=[other, error]).packs

    assert pack.left_out == "it wants numba."


def test_other_problems_are_not_missing():
    choice = ValueNotInListError("1", InputSpec(name="n", socket="COMBO"), "x", "is not")

    assert not sort(choice)
    assert not is_missing(choice)
    assert sort(choice).as_dict()["summary"] == ""
