"""What the count of templates stands on: small graphs, tiny files, and the reasons it tells."""

import json
from typing import Any

import pytest

from nodegraph.graph.graph import Graph, Link, Node
from nodes.models.weights.header import read_header
from tests.templates.__main__ import PAGE, engine_in
from tests.templates.index import Template, folder_of_templates, free_image_templates
from tests.templates.smaller import smaller
from tests.templates.table import counted, page
from tests.templates.tiny_files import write_tiny
from tests.templates.trial import Outcome, attempt

pytestmark = pytest.mark.usefixtures("one_thread")

SAVE = ("SaveImage", ["x"], "images", "IMAGE")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    root = tmp_path_factory.mktemp("templates")
    return engine_in(root, root / "models")


@pytest.fixture(scope="module")
def folder():
    pytest.importorskip("comfyui_workflow_templates_json", reason="needs the extra `ui`")
    return folder_of_templates()


def drawing(*nodes):
    """A workflow in the editor's format; each node is linked to the one before.

    A node is its type, its values, and the name and the socket of the input that is linked.
    """
    made: list[dict[str, Any]] = []
    links: list[list[Any]] = []
    for number, (kind, values, name, socket) in enumerate(nodes):
        entry: dict[str, Any] = {"id": number, "type": kind, "widgets_values": values}
        entry |= {"inputs": [], "outputs": []}
        if number:
            links.append([number, number - 1, 0, number, 0, socket])
            entry["inputs"].append({"name": name, "type": socket, "link": number})
            made[-1]["outputs"].append({"name": socket, "type": socket, "links": [number]})
        made.append(entry)
    return {"nodes": made, "links": links, "version": 0.4}


def template(tmp_path, *nodes):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(drawing(*nodes)))
    return Template("a", 3, path)


def test_numbers_are_made_smaller_where_they_come_from(engine):
    graph = Graph(
        {
            "few": Node("few", "PrimitiveInt", {"value": 4}),
            "many": Node("many", "PrimitiveInt", {"value": 40}),
            "which": Node(
                "which", "ComfySwitchNode",
                {"switch": True, "on_true": Link("few", 0), "on_false": Link("many", 0)},
            ),
            "size": Node("size", "EmptyLatentImage", {"width": 1328, "height": 64}),
            "first": Node(
                "first", "KSamplerAdvanced", {"steps": 25, "start_at_step": 0, "end_at_step": 20}
            ),
            "second": Node("second", "KSampler", {"steps": Link("which", 0), "cfg": 30.0}),
            "areas": Node("areas", "ResolutionSelector", {"megapixels": 1.0}),
        }
    )  # fmt: skip

    nodes = smaller(graph, engine.registry.catalog).nodes

    assert [nodes[key].inputs["value"] for key in ("few", "many")] == [2, 2]
    assert nodes["size"].inputs == {"width": 80, "height": 64}
    assert nodes["first"].inputs == {"steps": 2, "start_at_step": 0, "end_at_step": 2}
    assert nodes["second"].inputs == {"steps": Link("which", 0), "cfg": 30.0}
    assert nodes["areas"].inputs == {"megapixels": 0.1}


@pytest.mark.parametrize(
    ("name", "formats"),
    [
        ("z_image_turbo_bf16.safetensors", set()),
        ("z_image_turbo_int8_convrot.safetensors", {"int8_tensorwise"}),
    ],
)
def test_a_tiny_file_is_in_the_format_that_its_name_says(tmp_path, name, formats):
    assert write_tiny(tmp_path, "diffusion_models", name)

    header = read_header(tmp_path / "diffusion_models" / name)
    assert {info.layer.format.name for info in header.tensors.values() if info.layer} == formats


def test_a_file_of_no_known_kind_is_not_written(tmp_path):
    assert not write_tiny(tmp_path, "diffusion_models", "surprise.safetensors")


def test_a_template_that_makes_a_picture_ran(tmp_path, engine):
    found = attempt(template(tmp_path, ("LoadImage", ["a.png", "image"], "", ""), SAVE), engine)

    assert (found.kind, found.pictures, found.reasons) == ("ran", 1, ())


def test_plain_pictures_are_a_fault(tmp_path, engine):
    plain = ("EmptyImage", [512, 512, 1, 0], "", "")

    assert attempt(template(tmp_path, plain, SAVE), engine).reasons == ("its pictures are plain",)


@pytest.mark.parametrize(
    ("node", "kind", "reason"),
    [
        (("SeedVR2Preprocess", []), "node type", "SeedVR2Preprocess"),
        (("UpscaleModelLoader", ["seedvr2.pth"]), "family", "SeedVR2"),
        (("UpscaleModelLoader", ["new.pth"]), "family", "the file new.pth"),
    ],
)
def test_what_is_not_here_is_told(tmp_path, engine, node, kind, reason):
    shown = ("PreviewAny", [], "source", "UPSCALE_MODEL")

    found = attempt(template(tmp_path, (*node, "", ""), shown), engine)

    assert (found.kind, found.reasons) == (kind, (reason,))


def test_the_page_counts_templates_by_their_reasons(tmp_path):
    one, two = Template("one", 5, tmp_path), Template("two", 7, tmp_path)
    outcomes = [Outcome(one, "ran", pictures=1), Outcome(two, "family", ("SeedVR2",))]

    text = page(outcomes, "0.1")

    assert "| made its pictures | 1 | 5 |" in text
    assert "| SeedVR2 | 1 | 7 |" in text
    assert "| `one` | 5 | 1 picture |" in text


def test_the_kept_page_is_about_the_installed_templates(folder):
    found = free_image_templates(folder)

    assert len(found) == 150
    assert all(f"| `{each.name}` | {each.uses} |" in PAGE.read_text() for each in found)


@pytest.mark.slow
def test_the_templates_run_that_the_kept_page_says(folder, engine):
    outcomes = [attempt(each, engine) for each in free_image_templates(folder)]

    number, uses = counted(outcomes, "ran")
    assert counted(outcomes, "fault") == (0, 0)
    assert f"| made its pictures | {number} | {uses} |" in PAGE.read_text()
