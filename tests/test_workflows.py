"""The shipped workflows: on the demo models that ship with the pack, and on tiny models.

Those of families without a demo model name files on the hub; a tiny model takes their place.
"""

import json
import re
from collections import Counter
from functools import partial
from importlib.resources import files as resources

import numpy as np
import pytest
from PIL import Image as Pictures

from nodegraph.execution.engine import Engine
from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.files.references import read_name
from nodegraph.packs.registry import Registry
from nodegraph.workflow.read import read_workflow
from nodes.builtin.conditioning import edit_prompts
from tests.tiny_models.checkpoints import small_sd3, small_sd15, small_sd21, small_sdxl
from tests.tiny_models.folders import whole_flux
from tests.tiny_models.whole_models import (
    tiny_anima,
    tiny_chroma,
    tiny_flux2_dev,
    tiny_flux3,
    tiny_klein,
    tiny_krea2,
    tiny_longcat_image,
    tiny_lotus,
    tiny_lumina2,
    tiny_qwen_image,
    tiny_qwen_image21,
    tiny_qwen_image_edit,
    tiny_qwen_image_layered,
    tiny_z_image,
    whole,
)

pytestmark = pytest.mark.usefixtures("one_thread")

SHIPPED = {
    path.name.removesuffix(".json"): path.read_text()
    for path in resources("workflows").iterdir()
    if path.name.endswith(".json")
}
HUB = {
    "anima": tiny_anima,
    "chroma": tiny_chroma,
    "flux1_dev": whole("flux1-dev-fp8", whole_flux),
    "flux1_schnell": whole("flux1-schnell-fp8", partial(whole_flux, guidance=False)),
    "flux2_dev": tiny_flux2_dev,
    "flux2_klein": tiny_klein,
    "flux3_klein": tiny_flux3,
    "longcat_image": tiny_longcat_image,
    "lotus_depth": tiny_lotus,
    "netayume_lumina": tiny_lumina2,
    "krea2_turbo": tiny_krea2,
    "qwen_image": tiny_qwen_image,
    "qwen_image_edit": tiny_qwen_image_edit,
    "qwen_image_layered": tiny_qwen_image_layered,
    "qwen_image_21": tiny_qwen_image21,
    "sd15": whole("v1-5-pruned-emaonly-fp16", small_sd15),
    "sd3_medium": whole("sd3_medium_incl_clips_t5xxlfp8", partial(small_sd3, text=4096)),
    "sd_turbo": whole("sd_turbo", small_sd21),
    "sdxl": whole("sd_xl_base_1.0", small_sdxl),
    "sdxl_turbo": whole("sd_xl_turbo_1.0_fp16", small_sdxl),
    "z_image_turbo": tiny_z_image,
}
LARGE = ("flux2_dev", "krea2_turbo", "longcat_image", "qwen_image_edit", "qwen_image_layered")
"""Those whose tiny models are the largest; smaller ones of their kinds run each time."""
"""The workflows that name files on the hub, and the tiny files that have their names."""
DEMO = [name for name in SHIPPED if name not in HUB]
PICTURES = {"batch": 4, "hires_fix": 2, "img2img": 2, "inpaint": 2, "qwen_image_layered": 3}
"""How many pictures a workflow saves; one if it is not here."""
WITH_ALPHA = ("qwen_image_21", "qwen_image_layered")
SIDES = {"lotus_depth": (48, 64), "qwen_image_edit": (88, 112)}
"""The height and width of what is made of a picture; of others they are set to 64."""
RED, BLUE = (220, 30, 30), (30, 60, 220)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    registry = Registry.load(["nodes"])
    folders = Folders(
        (root / "models",), root / "input", root / "output", root / "temp", registry.model_places
    )
    return Engine(registry, Files(folders))


def pictures(engine, result):
    """Everything a run saved, in the order of the nodes' ids."""
    shown = sorted(result.ui.items(), key=lambda item: int(item[0]))
    root = engine.files.folders.output
    paths = [
        root / item.subfolder / item.filename for _, ui in shown for item in ui.artifacts["images"]
    ]
    return [np.asarray(Pictures.open(path)) for path in paths]


def write_photo(folder):
    """Write the picture that workflows read until one sets another."""
    folder.mkdir(parents=True, exist_ok=True)
    Pictures.linear_gradient("L").resize((64, 48)).convert("RGB").save(folder / "photo.png")


def test_the_shipped_workflows_are_these():
    assert set(SHIPPED) == {*PICTURES, "lora", "txt2img", "txt2img_turbo", *HUB}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_node_has_a_title_of_its_own_so_that_set_finds_it(name):
    nodes = json.loads(SHIPPED[name]).values()

    titles = Counter(node["_meta"]["title"] for node in nodes)

    assert titles.most_common(1)[0][1] == 1
    assert {"Prompt", "Sampler", "Save"} <= set(titles)


@pytest.mark.parametrize("name", DEMO)
def test_a_shipped_workflow_runs_as_it_is_and_makes_pictures(engine, name):
    checked = engine.check(read_workflow(SHIPPED[name].encode()))
    assert not checked.problems
    assert not checked.warnings

    made = pictures(engine, engine.run(checked))

    assert [picture.shape for picture in made][-1] == (64, 64, 3)
    assert len(made) == PICTURES.get(name, 1)
    assert made[-1].std() > 20


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in HUB]
)
def test_a_workflow_with_files_on_the_hub_runs_on_a_tiny_model(engine, name, monkeypatch):
    for pixels in ("SEEN", "READ"):
        monkeypatch.setattr(edit_prompts, pixels, 56 * 56)
    HUB[name](engine.files.folders.models[0])
    write_photo(engine.files.folders.input)
    text = re.sub(r"hf://[^\"]+/([^/\"]+)", r"\1", SHIPPED[name])
    text = re.sub(r'"(width|height)": \d+', r'"\1": 64', text)
    text = re.sub(r'"megapixels": 1.0', '"megapixels": 0.01', text)
    text = re.sub(r'"steps": (?!1\b)\d+', '"steps": 2', text)

    checked = engine.check(read_workflow(text.encode()))
    *others, made = pictures(engine, engine.run(checked))

    assert text != SHIPPED[name]
    assert len(others) + 1 == PICTURES.get(name, 1)
    assert not checked.problems
    assert not checked.warnings
    assert made.shape == (*SIDES.get(name, (64, 64)), 4 if name in WITH_ALPHA else 3)
    assert made.std() > 1


@pytest.mark.parametrize("name", HUB)
def test_files_on_the_hub_are_named_as_it_names_them(name):
    inputs = [node["inputs"] for node in json.loads(SHIPPED[name]).values()]
    named = [v for each in inputs for v in each.values() if str(v).startswith("hf://")]

    assert named
    assert all(read_name(reference).hub for reference in named)


@pytest.mark.parametrize("name", ["txt2img", "txt2img_turbo", "batch"])
def test_the_picture_shows_what_the_prompt_says(engine, name):
    """A large red circle at the top left on a blue background."""
    for picture in pictures(engine, engine.run(read_workflow(SHIPPED[name].encode()))):
        assert np.abs(picture[12:20, 12:20].mean((0, 1)) - RED).max() < 40
        assert np.abs(picture[44:, 44:].mean((0, 1)) - BLUE).max() < 40


def test_the_painted_part_changes_and_the_rest_stays(engine):
    before, after = pictures(engine, engine.run(read_workflow(SHIPPED["inpaint"].encode())))

    change = np.abs(before.astype(int) - after.astype(int)).max(-1)
    assert change[26:38, 26:38].min() > 60
    assert change[:6].max() < 30
