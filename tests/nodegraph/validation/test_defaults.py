"""Workflow files that are older than inputs of their nodes get the defaults, with remarks."""

import pytest

from nodegraph.execution.engine import Engine
from nodegraph.graph.graph import Link
from nodegraph.graph.spec import InputSpec, NodeSpec
from nodegraph.packs.registry import Registry
from nodegraph.validation.defaults import with_defaults
from nodegraph.validation.validate import check
from nodegraph.workflow.read import read_prompt
from tests.toys import files_in

SPEC = NodeSpec(
    name="Old",
    display_name="Old",
    category="test",
    description="",
    module="m",
    outputs=(),
    output_node=True,
    inputs=(
        InputSpec(name="image", socket="IMAGE"),
        InputSpec(name="overlap", socket="INT", has_default=True, default=64),
        InputSpec(name="crop", socket="COMBO", choices=("center", "none")),
        InputSpec(name="model", socket="COMBO", model_folder="checkpoints"),
        InputSpec(name="picture", socket="COMBO", input_file=True),
        InputSpec(name="text", socket="STRING"),
        InputSpec(name="extra", socket="INT", required=False, has_default=True, default=1),
    ),
)


def read(inputs):
    return read_prompt({"1": {"class_type": "Old", "inputs": inputs}})


def test_what_has_a_default_or_a_list_of_choices_is_filled_in():
    graph = with_defaults(read({"image": ["2", 0]}), {"Old": SPEC})

    assert graph.nodes["1"].inputs == {"image": Link("2", 0), "overlap": 64, "crop": "center"}
    assert [str(remark) for remark in graph.remarks] == [
        "Node '1': input 'overlap' is missing; it is 64, its default.",
        "Node '1': input 'crop' is missing; it is 'center', its default.",
    ]


@pytest.mark.parametrize("catalog", [{}, {"Old": SPEC}])
def test_a_graph_that_lacks_nothing_stays_as_it_is(catalog):
    graph = read({"overlap": None, "crop": "none"})

    assert with_defaults(graph, catalog) is graph


def test_the_engine_fills_in_files_but_the_check_of_a_graph_does_not(tmp_path):
    engine = Engine(Registry.load(["nodes"]), files_in(tmp_path))
    given = {"1": {"class_type": "EmptyImage", "inputs": {"width": 8}}}
    file = tmp_path / "w.json"
    file.write_text(f"{given}".replace("'", '"'))

    from_file = engine.check(engine.read(file), ["1"])
    from_program = check(read_prompt(given), engine.registry, engine.files, ["1"])

    assert not from_file.problems
    assert {warning.code for warning in from_file.warnings} == {"defaulted_input"}
    assert {problem.code for problem in from_program.problems} == {"required_input_missing"}
