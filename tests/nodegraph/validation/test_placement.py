"""The place of a run: by its node types, what it prefers, and where it is valid."""

import pytest

from nodegraph.graph.described_specs import spec_of_entry
from nodegraph.graph.graph import Link
from nodegraph.packs.registry import Registry
from nodegraph.runtime.choices import Prefer
from nodegraph.validation.placement import join_few, place
from tests.toys import files_in, graph_of, registry_of

OURS = registry_of()


def entry(required, *, output=(), output_node=False):
    return {"input": {"required": required}, "output": list(output), "output_node": output_node}


def offer(**entries):
    """A server's node types; each is checked as ours of the same name is."""
    specs = [
        spec_of_entry(name, described, "comfyui:main:x", OURS.catalog.get(name))
        for name, described in entries.items()
    ]
    return Registry.from_specs([spec for spec in specs if spec], "main")


SHOW = entry({"value": ["*", {}]}, output_node=True)
ONE = entry({}, output=["INT"])
THEIRS = entry({"a": ["INT", {}]}, output=["INT"])
LOAD = entry({"name": [["there.safetensors"], {}]}, output=["MODEL"])
MAIN = offer(Theirs=THEIRS, Show=SHOW, One=ONE, Load=LOAD)
SHOWN = ("Show", {"value": Link("x", 0)})
NATIVE = graph_of(x=("One", {}), y=SHOWN)
FOREIGN = graph_of(x=("Theirs", {"a": 3}), y=SHOWN)


@pytest.fixture
def files(tmp_path):
    return files_in(tmp_path)


def placed(files, graph, *, prefer: Prefer = "native", **offers):
    found = place(graph, OURS, files, offers, prefer=prefer)
    codes = [(problem.code, problem.node_id) for problem in found.checked.problems]
    return found.servers, found.why, codes


def test_without_a_server_there_is_no_choice_and_no_reason(files):
    assert placed(files, NATIVE) == ((), "", [])


def test_a_run_of_our_node_types_runs_here(files):
    assert placed(files, NATIVE, main=MAIN) == ((), "All node types are here.", [])


def test_a_run_of_theirs_goes_to_every_server_that_can(files):
    found = placed(files, FOREIGN, main=MAIN, other=offer(Theirs=THEIRS), third=MAIN)

    assert found == (("main", "third"), "'Theirs' is not here, but on 'main' and 'third'.", [])


def test_what_both_have_goes_where_it_prefers(files):
    found = placed(files, NATIVE, prefer="comfyui", main=MAIN)
    without = placed(files, NATIVE, prefer="comfyui", main=offer(Theirs=THEIRS))

    assert found == (("main",), "ComfyUI is preferred, and 'main' has all node types.", [])
    assert without[0] == ()
    assert without[1].startswith("ComfyUI is preferred, but no ComfyUI server has all")


def test_a_model_that_is_only_there_takes_the_run_there(files):
    there = graph_of(x=("Load", {"name": "there.safetensors"}), y=SHOWN)
    nowhere = graph_of(x=("Load", {"name": "nowhere.safetensors"}), y=SHOWN)

    servers, why, problems = placed(files, there, main=MAIN)
    assert (servers, problems) == (("main",), [])
    assert why.startswith("It is not valid here (Node 'x':")
    assert "is valid there" in why
    assert placed(files, nowhere, main=MAIN)[2] == [("value_not_in_list", "x")]


def test_what_is_valid_on_no_server_is_checked_as_the_first_has_it(files):
    graph = graph_of(x=("Theirs", {}), y=SHOWN)

    servers, _, problems = placed(files, graph, main=MAIN)

    assert (servers, problems) == (("main",), [("required_input_missing", "x")])


def test_types_that_nobody_has_together_are_a_problem_of_each_node(files):
    graph = graph_of(x=("Theirs", {"a": 1}), z=("Fail", {"a": Link("x", 0)}), y=SHOWN)

    found = place(graph, OURS, files, {"main": MAIN})

    assert found.servers == ()
    assert found.checked.runnable == ()
    (problem,) = found.checked.problems
    assert str(problem) == (
        "Node 'x': the node type 'Theirs' is not here, and 'main', which has it, lacks 'Fail'."
        " Install what is missing here or there, or split the workflow."
    )


def test_a_type_that_nobody_has_is_told_as_ever(files):
    graph = graph_of(x=("Nobodys", {}), y=SHOWN)

    assert placed(files, graph, main=MAIN)[2] == [("unknown_node_type", "x")]


def test_a_few_names_are_told():
    assert join_few(["a"]) == "'a'"
    assert join_few(["a", "b", "c"]) == "'a', 'b' and 'c'"
    assert join_few([*"abcde"]) == "'a', 'b', 'c' and 2 more"


def test_rows_choices_with_inputs_and_matching_types_are_the_server_s_to_check(files):
    described = {
        "input": {
            "required": {
                "images": ["COMFY_AUTOGROW_V3", {"template": {}}],
                "mode": ["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "a", "inputs": {}}]}],
                "either": ["COMFY_MATCHTYPE_V3", {}],
            }
        },
        "output": ["COMFY_MATCHTYPE_V3"],
    }
    inputs = {"images.image0": Link("o", 0), "mode": "a", "mode.x": 1, "either": Link("o", 0)}
    graph = graph_of(o=("One", {}), x=("Newer", inputs), y=SHOWN)

    servers, _, problems = placed(files, graph, main=offer(Newer=described, Show=SHOW, One=ONE))

    assert (servers, problems) == (("main",), [])


def test_an_entry_becomes_a_spec():
    described = {
        "input": {
            "required": {
                "mode": [["a", 1], {"default": "a", "tooltip": "?"}],
                "image": ["COMBO", {"options": ["x.png"], "image_upload": True}],
                "count": ["INT", {"default": 2, "min": 1, "max": 9, "step": 2}],
            },
            "optional": {"model": ["MODEL", {"lazy": True}], "odd": []},
        },
        "input_order": {"required": ["count", "mode", "nobody"], "optional": None},
        "output": ["IMAGE", ["a", "b"]],
        "output_name": ["picture"],
        "output_is_list": [True],
        "display_name": None,
        "category": 3,
    }

    spec = spec_of_entry("Theirs", described, "comfyui:main:x")

    assert spec is not None
    count, mode, image, model, odd = spec.inputs
    assert (count.name, count.minimum, count.maximum, count.default) == ("count", 1, 9, 2)
    assert (mode.socket, mode.choices, mode.widget) == ("COMBO", ("a", "1"), {"tooltip": "?"})
    assert (image.choices, image.input_file) == (("x.png",), True)
    assert (model.required, model.lazy, odd.socket) == (False, True, "*")
    assert all(item.unchecked for item in spec.inputs)
    assert [(item.name, item.socket, item.is_list) for item in spec.outputs] == [
        ("picture", "IMAGE", True),
        ("COMBO", "COMBO", False),
    ]
    assert (spec.display_name, spec.category, spec.output_node) == ("Theirs", "", False)


@pytest.mark.parametrize("described", [{}, {"input": [], "output": []}, {"input": {}}])
def test_what_describes_no_node_type_becomes_none(described):
    assert spec_of_entry("Theirs", described, "x") is None
