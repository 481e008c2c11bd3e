"""Validation: every problem at once, each with its code, its place and what would work."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodegraph.errors import InvalidWorkflowError, NodeGraphError, nearest
from nodegraph.graph.graph import Graph, Link, Node
from nodegraph.validation.validate import check
from nodegraph.workflow.read import read_prompt
from tests.toys import BLANK, chain_of, files_in, graph_of, registry_of
from tests.work import growth

REGISTRY = registry_of()


@pytest.fixture
def files(tmp_path):
    found = files_in(tmp_path)
    for name in ("sd_turbo.safetensors", "sd_xl_turbo_1.0.safetensors"):
        (tmp_path / "models/checkpoints" / name).touch()
    (tmp_path / "input/cat.png").touch()
    (tmp_path / "output/old.png").touch()
    return found


@pytest.fixture(scope="module")
def some_files(tmp_path_factory):
    return files_in(tmp_path_factory.mktemp("files"))


def problems(files, targets=None, **nodes):
    checked = check(graph_of(**nodes), REGISTRY, files, targets)
    return [(p.code, p.node_id, p.input_name) for p in checked.problems]


def only(files, **nodes):
    """The one problem there is."""
    (problem,) = check(graph_of(**nodes), REGISTRY, files).problems
    return problem


def blank(files, **inputs):
    """What validation makes of a `Blank` with these inputs."""
    nodes = {"x": ("Blank", BLANK | inputs), "y": ("Show", {"value": Link("x", 0)})}
    return check(graph_of(**nodes), REGISTRY, files)


def test_a_valid_graph_has_no_problems(files):
    checked = check(chain_of(5), REGISTRY, files)

    assert checked.problems == checked.warnings == ()
    assert checked.graph == chain_of(5)
    assert checked.targets == ("4",)


def test_every_problem_is_reported_at_once(files):
    found = problems(
        files,
        a=("Blank", BLANK | {"width": 8, "strength": 2, "method": "neares", "seed": "x"}),
        b=("Pass", {"image": Link("a", 3)}),
        c=("Add", {}),
        d=("Show", {"value": Link("b", 0)}),
        e=("Show", {"value": Link("c", 0)}),
        f=("Show", {"value": Link("ghost", 0)}),
        g=("Shwo", {}),
        h=("Pass", {"image": Link("c", 0)}),
        i=("Show", {"value": Link("h", 0)}),
    )

    assert found == [
        ("value_smaller_than_min", "a", "width"),
        ("value_bigger_than_max", "a", "strength"),
        ("value_not_in_list", "a", "method"),
        ("invalid_input_type", "a", "seed"),
        ("link_output_out_of_range", "b", "image"),
        ("required_input_missing", "c", "a"),
        ("link_to_missing_node", "f", "value"),
        ("unknown_node_type", "g", None),
        ("return_type_mismatch", "h", "image"),
    ]


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("width", "64", 64),
        ("width", 64.0, 64),
        ("width", " 64.0 ", 64),
        ("strength", "0.5", 0.5),
        ("strength", "1e-1", 0.1),
        ("tiled", "True", True),
        ("tiled", "enable", True),
        ("tiled", "disable", False),
        ("tiled", 0, False),
        ("text", 5, "5"),
        ("text", 0.5, "0.5"),
    ],
)
def test_a_lossless_conversion_is_made_and_remarked_on(files, name, given, expected):
    checked = blank(files, **{name: given})

    value = checked.graph.nodes["x"].inputs[name]
    assert checked.problems == ()
    assert (value, type(value)) == (expected, type(expected))
    assert [(w.code, w.input_name) for w in checked.warnings] == [("converted_value", name)]


def test_an_integer_is_a_number_without_remark(files):
    checked = blank(files, strength=1)

    assert repr(checked.graph.nodes["x"].inputs["strength"]) == "1.0"
    assert checked.warnings == checked.problems == ()


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("width", 64.9),
        ("width", "64.9"),
        ("width", True),
        ("width", None),
        ("width", "abc"),
        ("width", {"a": 1}),
        ("width", float("nan")),
        ("width", float("inf")),
        ("width", "6" * 5000),
        ("seed", 2**64),
        ("seed", 10**5000),
        ("strength", True),
        ("strength", "nan"),
        ("strength", float("-inf")),
        ("strength", 10**400),
        ("strength", 2**53 + 1),
        ("tiled", 2),
        ("tiled", "yes"),
        ("text", True),
        ("text", {}),
        ("text", "\ud800"),
        ("method", {}),
    ],
    ids=range(22),
)
def test_a_lossy_conversion_is_an_error(files, name, given):
    (problem,) = blank(files, **{name: given}).problems

    assert (problem.code, problem.input_name) == ("invalid_input_type", name)
    assert len(str(problem)) < 300
    json.dumps(problem.as_dict())


def test_the_largest_seed_passes_and_steps_are_not_checked(files):
    checked = blank(files, seed=2**64 - 1, width=513)

    assert checked.problems == checked.warnings == ()


def test_bounds_are_told(files):
    (problem,) = blank(files, width=17_000).problems

    assert str(problem) == (
        "Node 'x': input 'width' is 17000, above its maximum of 16384. It may be 16 to 16384."
    )
    assert problem.details == {"received_value": 17_000}


def test_a_list_that_is_no_link_is_a_bad_link(files):
    for value in (["1", "0"], ["1", 0, 0], []):
        (problem,) = blank(files, width=value).problems
        assert problem.code == "bad_linked_input"


def test_a_literal_where_only_a_link_will_do_is_an_error(files):
    problem = only(files, x=("Pass", {"image": "1"}), y=("Show", {"value": Link("x", 0)}))

    assert problem.code == "invalid_input_type"
    assert "Link it to an output that carries IMAGE" in problem.hint


def test_a_choice_names_the_nearest_and_some_others(files):
    (problem,) = blank(files, method="bilinaer").problems

    assert problem.hint == "Did you mean 'bilinear'? There are: 'nearest', 'bilinear', 'area'."


def test_a_missing_model_names_the_folder_and_the_models_there_are(files):
    bad = {
        "x": ("Load", {"name": "sdxl_turbo_1.safetensors"}),
        "y": ("Show", {"value": Link("x", 0)}),
    }

    problem = only(files, **bad)

    assert problem.code == "value_not_in_list"
    assert "models/checkpoints" in problem.message
    assert "Did you mean 'sd_xl_turbo_1.0.safetensors'?" in problem.hint
    assert "'sd_turbo.safetensors'" in problem.hint


def test_a_missing_name_of_a_model_tells_the_folder(files):
    problem = only(files, x=("Load", {}), y=("Show", {"value": Link("x", 0)}))

    assert (problem.code, problem.input_name) == ("required_input_missing", "name")
    assert "models/checkpoints" in problem.hint


def test_a_path_written_on_windows_finds_its_model(files, tmp_path):
    (tmp_path / "models/checkpoints/xl").mkdir()
    (tmp_path / "models/checkpoints/xl/a.safetensors").touch()
    nodes = {"x": ("Load", {"name": "xl\\a.safetensors"})}

    checked = check(graph_of(**nodes), REGISTRY, files, ["x"])

    assert checked.problems == ()
    assert checked.graph.nodes["x"].inputs == {"name": "xl/a.safetensors"}
    assert [warning.code for warning in checked.warnings] == ["converted_value"]


def test_a_model_in_an_object_of_another_pack_is_read(files):
    def of(value):
        return check(graph_of(x=("Load", {"name": value})), REGISTRY, files, ["x"])

    found = of({"content": "sd_turbo.safetensors", "image": None})

    assert found.graph.nodes["x"].inputs == {"name": "sd_turbo.safetensors"}
    assert [w.code for w in found.warnings] == ["converted_value"]
    assert [p.code for p in of({"content": "no.safetensors"}).problems] == ["value_not_in_list"]
    assert [p.code for p in of({"content": 5}).problems] == ["invalid_input_type"]


def test_a_model_in_another_folder_is_found_if_it_is_the_only_one_of_its_name(files, tmp_path):
    folder = tmp_path / "models" / "checkpoints"
    for name in ("one/a.safetensors", "one/b.safetensors", "b.safetensors"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()

    def of(name):
        return check(graph_of(x=("Load", {"name": name})), REGISTRY, files, ["x"])

    found = of("SD1.5\\a.safetensors")
    assert found.graph.nodes["x"].inputs == {"name": "one/a.safetensors"}
    assert [w.code for w in found.warnings] == ["converted_value"]
    assert of("a").graph.nodes["x"].inputs == {"name": "one/a.safetensors"}
    assert [p.code for p in of("two/b.safetensors").problems] == ["value_not_in_list"]
    assert [p.code for p in of("b").problems] == ["value_not_in_list"]


def test_an_input_file_may_lie_in_another_folder(files):
    def of(name):
        return problems(files, x=("Open", {"image": name}), y=("Show", {"value": Link("x", 0)}))

    assert of("cat.png") == of("old.png [output]") == []
    assert of("old.png") == of("../output/old.png") == [("value_not_in_list", "x", "image")]


def test_unknown_inputs_are_ignored_wherever_they_link_to(files):
    graph = graph_of(
        x=("One", {"extra": Link("ghost", 0)}),
        y=("Show", {"value": Link("x", 0), "loop": Link("y", 0), "valeu": 3}),
    )

    checked = check(graph, REGISTRY, files)

    assert checked.problems == ()
    assert [w.code for w in checked.warnings] == ["unknown_input"] * 3
    assert "Did you mean 'value'?" in checked.warnings[2].hint
    assert checked.graph.nodes["x"].inputs == {}


def test_what_the_editor_sends_for_itself_is_ignored_without_a_word(files):
    own = {"preview": "", "audioUI": "", "refresh": "refresh"}

    assert check(graph_of(x=("Show", {"value": 1, **own})), REGISTRY, files).warnings == ()


def test_defaults_of_optional_inputs_are_filled_in(files):
    checked = check(graph_of(x=("Add", {"a": 1})), REGISTRY, files, ["x"])

    assert checked.graph.nodes["x"].inputs == {"a": 1, "b": 10}


def test_problems_that_no_target_needs_are_warnings(files):
    nodes = {"x": ("Add", {}), "y": ("Show", {"value": "fine"})}

    checked = check(graph_of(**nodes), REGISTRY, files)

    assert checked.problems == ()
    assert [w.code for w in checked.warnings] == ["required_input_missing"]
    assert list(checked.graph.nodes) == ["y"]


def test_an_unknown_type_matters_unless_the_targets_say_otherwise(files):
    nodes = {"x": ("Sohw", {}), "y": ("Show", {"value": "fine"})}

    assert problems(files, **nodes) == [("unknown_node_type", "x", None)]
    assert problems(files, ["y"], **nodes) == []


def test_an_unknown_type_may_be_an_output_so_that_what_it_needs_is_a_problem(files):
    nodes = {"x": ("SaveVideo", {"images": Link("y", 0)}), "y": ("Add", {}), "z": ("One", {"v": 1})}

    assert problems(files, **nodes) == [
        ("unknown_node_type", "x", None),
        ("required_input_missing", "y", "a"),
    ]


def test_an_unknown_type_suggests_the_nearest(files):
    assert only(files, x=("Blnak", {}), y=("Show", {"value": 1})).hint == "Did you mean 'Blank'?"


def test_a_loop_is_told_as_a_path_along_the_data(files):
    problem = only(
        files,
        a=("Pass", {"image": Link("b", 0)}),
        b=("Pass", {"image": Link("c", 0)}),
        c=("Pass", {"image": Link("a", 0)}),
        d=("Show", {"value": Link("b", 0)}),
    )

    assert problem.code == "cycle"
    assert "a -> c -> b -> a" in problem.message


def test_a_loop_is_named_without_the_detours_that_it_can_spare(files):
    problem = only(
        files,
        a=("Add", {"a": Link("d", 0)}),
        b=("Add", {"a": Link("a", 0)}),
        c=("Add", {"a": Link("b", 0)}),
        d=("Add", {"a": Link("c", 0), "b": Link("a", 0)}),
        out=("Show", {"value": Link("d", 0)}),
    )

    assert problem.details["path"] == ["a", "d", "a"]


def test_a_node_may_not_read_itself_and_other_loops_are_warnings(files):
    nodes = {
        "a": ("Pass", {"image": Link("a", 0)}),
        "b": ("Pass", {"image": Link("b", 0)}),
        "c": ("Show", {"value": Link("b", 0)}),
    }

    checked = check(graph_of(**nodes), REGISTRY, files)

    assert [p.details["path"] for p in checked.problems] == [["b", "b"]]
    assert [w.details["path"] for w in checked.warnings] == [["a", "a"]]


def test_without_outputs_there_is_nothing_to_run(files):
    assert problems(files) == [("prompt_no_outputs", None, None)]
    assert problems(files, x=("One", {})) == [("prompt_no_outputs", None, None)]


def test_an_unknown_target_is_named(files):
    found = problems(files, ["z"], x=("One", {}))

    assert found == [("unknown_target", None, None), ("prompt_no_outputs", None, None)]


def test_targets_without_problems_are_told(files):
    nodes = {
        "a": ("Add", {}),
        "b": ("Show", {"value": Link("a", 0)}),
        "c": ("Show", {"value": "fine"}),
    }

    checked = check(graph_of(**nodes), REGISTRY, files)

    assert checked.runnable == ("c",)
    assert checked.dependents("a") == ("b",)


def test_preflight_runs_only_when_the_rest_is_right(files):
    def of(value):
        return problems(files, x=("Even", {"a": value}), y=("Show", {"value": Link("x", 0)}))

    assert of(2) == []
    assert of(3) == [("nodegraph_error", "x", "a")]
    assert of("no") == [("invalid_input_type", "x", "a")]


def test_what_a_preflight_finds_in_a_node_that_may_not_run_is_a_warning(files):
    nodes = {
        "x": ("Even", {"a": 3}),
        "y": ("If", {"condition": False, "yes": Link("x", 0), "no": 1}),
        "z": ("Show", {"value": Link("y", 0)}),
    }

    found = check(graph_of(**nodes), REGISTRY, files)
    both = check(graph_of(**nodes, w=("Show", {"value": Link("x", 0)})), REGISTRY, files)

    assert [(each.node_id, each.code) for each in found.warnings] == [("x", "nodegraph_error")]
    assert not found.problems
    assert [each.node_id for each in both.problems] == ["x"]


def test_a_preflight_that_breaks_is_a_problem_too(files):
    nodes = {"x": ("Even", {"a": Link("o", 0)}), "o": ("One", {}), "y": ("Show", {"value": 1})}

    assert problems(files, ["x"], **nodes) == [("custom_validation_failed", "x", None)]


def test_ten_thousand_nodes_in_a_row_are_checked(files):
    assert check(chain_of(10_000), REGISTRY, files).problems == ()


def of_unknown_types(count):
    return graph_of(**{str(k): (f"Blank{k:0100}", {f"in{k}": k}) for k in range(count)})


def loop_of(count):
    nodes = {str(k): ("Pass", {"image": Link(str((k + 1) % count), 0)}) for k in range(count)}
    return graph_of(**nodes, s=("Show", {"value": Link("0", 0)}))


@pytest.mark.parametrize("draw", [chain_of, of_unknown_types, loop_of])
def test_a_graph_twice_as_large_is_twice_the_work_to_check(files, draw):
    graphs = {count: draw(count) for count in (500, 1000)}

    assert growth(lambda count: check(graphs[count], REGISTRY, files), 500) < 2.2


@pytest.mark.parametrize("draw", [of_unknown_types, loop_of])
def test_hostile_graphs_are_refused_in_few_words(files, draw):
    found = check(draw(5_000), REGISTRY, files).problems

    assert found
    assert len(str(InvalidWorkflowError(found))) < 100_000


numbers = st.integers() | st.floats()
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(["a", "b", "image", "value", "width", "seed", "method", "name", "text"])
ids = st.sampled_from(["1", "2", "3", "ghost"])
types = st.sampled_from([*REGISTRY.catalog, "Nope"])
links = st.tuples(ids, st.integers(-1, 2)).map(list)
nodes = st.fixed_dictionaries(
    {"class_type": types, "inputs": st.dictionaries(names, values | links, max_size=5)}
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100)
@given(st.dictionaries(st.sampled_from(["1", "2", "3"]), nodes))
def test_any_graph_is_checked_without_an_exception(some_files, prompt):
    checked = check(read_prompt(prompt), REGISTRY, some_files)

    for problem in (*checked.problems, *checked.warnings):
        assert isinstance(problem, NodeGraphError)
        json.dumps(problem.as_dict())


def test_a_literal_may_be_any_json_where_anything_goes(files):
    def of(value):
        return [p.code for p in check(show_of(value), REGISTRY, files).problems]

    assert of({"a": [1, None]}) == of([1]) == []
    assert of([float("nan")]) == ["bad_linked_input"]
    assert of({"a": {1, 2}}) == ["invalid_input_type"]


def test_a_literal_that_tells_its_widgets_type_is_unwrapped(files):
    curve = {"__type__": "CURVE", "__value__": {"points": [[0, 0], [1, 1]]}}

    checked = check(show_of(curve), REGISTRY, files)

    assert checked.graph.nodes["x"].inputs["value"] == {"points": [[0, 0], [1, 1]]}


def show_of(value):
    return Graph({"x": Node("x", "Show", {"value": value})})


@pytest.mark.parametrize(
    ("given", "known", "expected"),
    [
        ("FaceDetailer", ["LaplaceScheduler"], ""),
        ("ManualSigmas", ["FlipSigmas"], ""),
        ("SimpleMath+", ["SamplerLMS"], ""),
        ("krea2", ["hidream"], ""),
        ("sd_xl_base_1.0.safetensors", ["demo-shapes.safetensors"], ""),
        ("euler_a", ["euler", "euler_ancestral_cfg_pp", "euler_ancestral"], "euler_ancestral"),
        ("KSampeler", ["KSamplerSelect", "KSampler"], "KSampler"),
        ("ksampler", ["KSampler"], "KSampler"),
        ("one/inc.safetensors", ["two/ink.safetensors", "x.safetensors"], "two/ink.safetensors"),
    ],
)
def test_only_names_that_are_truly_near_are_suggested(given, known, expected):
    assert nearest(given, known) == (f"Did you mean {expected!r}?" if expected else "")
