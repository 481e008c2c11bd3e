"""The fixtures that packs test with, used as a pack would."""

import json
from typing import Annotated, NamedTuple

import pytest
import torch
from pydantic import Field

from nodegraph import Context, Expansion, Link, Listed, Node, Socket, Ui, node
from nodegraph.errors import NodeExecutionError
from nodegraph.execution.events import Progress
from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.values import Image


class Both(NamedTuple):
    image: Image
    taken: int


@node("PlugBoth", category="test")
def both(image: Image, times: Annotated[int, Field(ge=1, le=4)] = 2) -> Both:
    return Both(image * times, times)


@node("PlugSave", category="test", output_node=True)
def save(context: Context, text: str) -> Ui:
    context.progress(1, 2)
    return Ui({"texts": [context.files.save("output", "it", ".txt", text.encode())]})


@node("PlugMany", category="test")
def many(count: int) -> Annotated[list[int], Socket("INT"), Listed()]:
    return list(range(count))


@node("PlugExpand", category="test")
def expand(value: int) -> int | Expansion:
    return Expansion({"a": Node("a", "PrimitiveInt", {"value": value + 1})}, (Link("a", 0),))


@node("PlugFail", category="test")
def fail(value: int) -> int:
    raise ValueError(value)


def test_runs_a_node_on_values_and_on_literals(run_node):
    result = run_node(both, image=torch.ones(1, 2, 2, 3), times=3)

    assert result.values[1] == 3
    assert torch.equal(result.values[0], torch.full((1, 2, 2, 3), 3.0))
    assert result.problems == []


def test_shows_what_is_wrong_with_the_inputs(run_node):
    result = run_node(both, times=9)

    assert sorted(problem.code for problem in result.problems) == [
        "required_input_missing",
        "value_bigger_than_max",
    ]


def test_gives_files_and_events(run_node, tmp_path):
    result = run_node(save, text="hello")
    (progress,) = [event for event in result.events if isinstance(event, Progress)]

    assert [path.read_text() for path in result.files] == ["hello"]
    assert result.files[0].is_relative_to(tmp_path)
    assert (progress.value, progress.total) == (1, 2)


def test_lists_come_as_tuples_and_expansions_are_followed(run_node):
    assert run_node(many, count=3).value == (0, 1, 2)
    assert run_node(expand, value=4).value == 5


def test_what_a_node_raises_comes_out(run_node):
    with pytest.raises(NodeExecutionError, match="ValueError"):
        run_node(fail, value=1)


def test_the_tiny_model_is_a_real_one(tiny_model, run_node):
    (encoded,) = run_node(clip_text_encode, text="a circle", clip=tiny_model.clip).values

    assert encoded


def test_a_workflow_runs_from_data_and_from_a_file(workflow, tmp_path):
    grey = {"width": 64, "height": 64, "batch_size": 1, "color": 0x808080}
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": grey},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    path = tmp_path / "it.json"
    path.write_text(json.dumps(prompt))

    assert workflow(prompt).ui["2"].artifacts["images"][0].filename == "x_00001_.png"
    assert workflow(path).ui["2"].artifacts["images"][0].filename == "x_00001_.png"
