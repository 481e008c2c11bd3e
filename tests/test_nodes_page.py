"""`docs/nodes.md`: its code is a pack whose nodes do what it says."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nodegraph.packs.installed import LoadedPack
from nodegraph.packs.loading import forget
from nodegraph.packs.registry import Registry
from nodegraph.python.node_run import run_node

PAGE = Path(__file__).parents[1] / "docs" / "nodes.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A registry with the page's code as its only pack beside the built-in one."""
    folder = tmp_path_factory.mktemp("page") / "packs"
    pack = folder / "my_nodes"
    pack.mkdir(parents=True)
    declaration, *code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (pack / "__init__.py").write_text(declaration)
    (pack / "node_types.py").write_text("".join(code))
    yield Registry.load(["nodes", "my_nodes"], folder.parent, folder)
    forget("my_nodes")


@pytest.fixture
def run(page, nodegraph_files):
    """Run a node type of the page by its name."""

    def call(kind, /, **inputs):
        return run_node(page.find(kind), inputs, nodegraph_files, page)

    return call


def picture(value=0.25, size=4):
    return torch.full((1, size, size, 3), value)


def test_the_code_is_a_pack(page):
    assert page.problems == []
    assert isinstance(page.pack_of("Tint"), LoadedPack)
    assert len(page.types_of("my_nodes")) == 12


def test_pictures_are_changed_as_said(run):
    assert torch.equal(run("Negative", image=picture()).value, picture(0.75))
    tinted = run("Tint", image=picture(), colour="green", share=1.0, note="").value
    assert tinted[0, 0, 0].tolist() == [0.25, 1.0, 0.25]
    assert torch.equal(run("Mean", image1=picture(0.0), image2=picture(0.5)).value, picture())
    light, dark = run("SplitLight", image=picture(0.75), threshold=0.5).values
    assert (light.min(), dark.max()) == (1.0, 0.0)


def test_files_progress_and_ranges_are_as_said(run):
    saved = run("SaveSize", image=picture(), filename_prefix="size")
    assert [path.read_text() for path in saved.files] == ["1 of 4 x 4"]
    wandered = run("Wander", image=picture(), steps=3)
    assert [event.value for event in wandered.events if event.name == "progress"] == [1, 2, 3]
    assert [p.code for p in run("Wander", image=picture(), steps=0).problems] == [
        "value_smaller_than_min"
    ]


def test_weights_are_loaded_from_their_folder(run, nodegraph_files):
    folder = nodegraph_files.folders.models[0] / "palettes"
    folder.mkdir(parents=True)
    save_file({"colours": torch.tensor([[0.0, 0, 0], [1, 1, 1]])}, folder / "two.safetensors")

    palette = run("LoadPalette", name="two.safetensors").value

    assert torch.equal(run("ApplyPalette", image=picture(0.7), palette=palette).value, picture(1.0))


def test_lazy_inputs_and_expansions_work(run):
    assert torch.equal(run("Either", first=False, b=picture(), a=picture(1.0)).value, picture())
    assert run("DarkThenTint", image=picture(0.0), times=2).value[0, 0, 0, 0] == pytest.approx(0.19)


def test_a_row_and_a_choice_with_inputs_reach_the_node(run):
    grey = torch.full((1, 2, 2, 3), 0.25)

    assert run("Brighten", images=[grey, grey]).value.max() == 0.5
    raised = run("Brighten", images=[grey], how={"how": "to a value", "brightest": 0.75})
    assert raised.value.max() == 0.75
    assert run("PickOne", second=True, a=1, b=2).value == 2
