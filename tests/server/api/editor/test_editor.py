"""ComfyUI's web editor, unmodified, on this server: what users do with it, in a real browser."""

import io
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from nodegraph.workflow.api_format import to_prompt
from nodegraph.workflow.editor.shapes import shape_of
from nodegraph.workflow.read import read_workflow
from server.api.editor.packages import find_editor
from tests.server.serving import picture, serving, toy

if not find_editor().static:
    pytest.skip("no editor: pip install -e '.[dev,ui]'", allow_module_level=True)
if not (shutil.which("chromium") or shutil.which("chromium-browser")):
    pytest.skip("no chromium on the PATH: apt install chromium", allow_module_level=True)
pytest.importorskip("playwright", reason="no playwright: pip install -e '.[dev,ui]'")

from tests.server.api.editor.editor_page import browsing, opened

TEMPLATE = "image_sdxl_simple"
TWO_PICTURES = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "given.png"}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}


TOKEN = "a-token-of-16-or-more"
RED, GREEN = (200, 40, 40), (40, 200, 40)
DRAWINGS = json.loads((Path(__file__).parents[3] / "data/drawings.json").read_text())
PARAMETERS = """a cat <lora:detail:0.8>, (best:1.2)
Negative prompt: bad
Steps: 25, Sampler: DPM++ 2M Karras, CFG scale: 7.5, Seed: 9, Clip skip: 2, Model: m"""


@pytest.fixture(scope="module")
def browser():
    with browsing() as running:
        yield running


@pytest.fixture(scope="module")
def page(browser, server):
    server.post("/settings", {"Comfy.TutorialCompleted": True})
    return opened(browser, server)


@pytest.fixture
def editor(page):
    """The editor, of which every request is answered well, and which logs no error."""
    page.surprises.clear()
    yield page
    assert page.surprises == []


def drawn(path, colour):
    Image.new("RGB", (96, 64), colour).save(path)


def open_pictures(editor):
    """A workflow that loads a picture, which is there."""
    drawn(editor.server.home / "input/given.png", RED)
    editor.load(TWO_PICTURES, "pictures")
    editor.show("LoadImage")
    editor.wait_for_node("LoadImage", "node.imgs?.[0]?.naturalWidth === 96")


@pytest.mark.slow
def test_shows_the_node_library(editor):
    library = editor.page.get_by_test_id("node-library-tab-button")

    library.click()
    editor.page.get_by_placeholder("Search Nodes").fill("KSampler (Adv")
    found = editor.page.locator("[role=treeitem]", has_text="KSampler (Advanced)").last
    found.wait_for()
    editor.look("library")
    library.click()

    names = editor.page.evaluate("Object.keys(LiteGraph.registered_node_types)")
    assert {"KSampler", "LoadImage", "ToyAdd"} <= set(names)


def test_a_template_runs_with_previews_and_shows_its_image(editor):
    page = editor.page
    page.get_by_role("button", name="Templates").first.click()
    page.get_by_placeholder("Search").last.fill("SDXL")
    card = page.get_by_test_id(f"template-workflow-{TEMPLATE}")
    picture_shown = card.locator("img").first
    picture_shown.wait_for()
    editor.look("templates")
    card.click()
    page.get_by_text("sd_xl_base_1.0.safetensors is missing").wait_for()
    editor.look("template")

    editor.set("CheckpointLoaderSimple", {"ckpt_name": "demo-shapes.safetensors"})
    editor.set("EmptyLatentImage", {"width": 64, "height": 64})
    editor.set("KSampler", {"steps": 20, "cfg": 2})
    editor.set("CLIPTextEncode", {"text": "a large red circle at the top left"})
    editor.show("KSampler")
    editor.run()
    editor.wait("b_preview_with_metadata", 5)
    editor.wait_for_node("KSampler", "node.imgs?.[0]?.src.startsWith('blob:')")
    editor.look("previews")
    editor.wait("execution_success")
    editor.wait_for_node("SaveImage", "node.imgs?.[0]?.naturalWidth === 64")
    editor.show("SaveImage")
    editor.look("image")

    assert min(editor.colours("SaveImage")) > 40
    assert "/api/view?" in editor.node("SaveImage", "node.imgs[0].src")


def test_a_saved_workflow_is_found_after_a_reload(editor):
    page = editor.page
    editor.load(picture(), "to keep")
    page.keyboard.press("Control+s")
    page.get_by_role("dialog").locator("input").fill("my circle")
    page.keyboard.press("Enter")
    page.get_by_test_id("workflow-tab").filter(has_text="my circle").wait_for()

    editor.forget()
    editor.open()
    assert page.evaluate("app.graph.nodes.length") != 7
    page.get_by_test_id("workflows-tab-button").click()
    page.get_by_test_id("tree-node-root/my circle.json").click()
    page.wait_for_function("app.graph.nodes.length === 7")
    editor.look("saved")
    page.get_by_test_id("workflows-tab-button").click()

    assert "red circle" in editor.node("CLIPTextEncode", "node.widgets[0].value")
    assert (editor.server.home / "data/editor/files/workflows/my circle.json").is_file()


def test_the_jobs_panel_shows_queue_and_history(editor):
    page = editor.page
    toggle = page.get_by_test_id("queue-overlay-toggle")
    editor.load(toy(steps=200, seconds=0.05), "long")
    editor.run()
    editor.run()
    editor.wait("progress")
    toggle.click()
    overlay = page.get_by_test_id("queue-progress-overlay")
    overlay.get_by_text("1 running").wait_for()
    overlay.get_by_text("1 queued").wait_for()
    editor.look("queue")
    editor.server.post("/queue", {"clear": True})
    editor.server.post("/interrupt")

    editor.load(picture(prefix="history"), "short")
    editor.run()
    editor.wait("execution_success")
    row = overlay.locator("img[src*='history_']").first
    row.wait_for()
    editor.look("history")
    toggle.click()


def test_help_and_models_are_shown(editor):
    page = editor.page
    editor.load(picture(), "help")
    editor.show("KSampler")
    editor.node("KSampler", "app.canvas.selectNode(node)")
    page.get_by_test_id("info-button").click()
    page.get_by_role("heading", name="KSampler").wait_for()
    editor.look("help")

    page.get_by_test_id("model-library-tab-button").click()
    page.get_by_text("checkpoints", exact=True).first.click()
    page.get_by_text("demo-shapes", exact=True).first.wait_for()
    editor.look("models")
    page.get_by_test_id("model-library-tab-button").click()


def test_what_runs_can_be_interrupted(editor):
    editor.load(toy(steps=2000, seconds=0.05), "endless")
    editor.run()
    editor.wait("progress", 3)

    editor.page.get_by_role("button", name="Cancel current run").click()
    interrupted = editor.wait("execution_interrupted")

    assert interrupted["node_id"] == "1"
    editor.look("interrupted")
    assert editor.page.evaluate("app.runningNodeId") is None


def test_an_image_is_uploaded(editor, tmp_path):
    open_pictures(editor)
    drawn(tmp_path / "green.png", GREEN)

    with editor.page.expect_file_chooser() as chooser:
        editor.node("LoadImage", "node.widgets.find(one => one.type === 'button').callback()")
    chooser.value.set_files(tmp_path / "green.png")
    editor.wait_for_node("LoadImage", "node.imgs?.[0]?.src.includes('green.png')")
    editor.look("uploaded")

    kept = editor.server.home / "input/green.png"
    assert kept.read_bytes() == (tmp_path / "green.png").read_bytes()


def test_the_mask_editor_paints_a_mask(editor):
    open_pictures(editor)
    sent = editor.uploads()

    editor.node("LoadImage", "app.canvas.selectNode(node)")
    editor.command("Comfy.MaskEditor.OpenMaskEditor")
    dialog = editor.page.get_by_role("dialog").filter(has_text="Mask Editor")
    editor.paint(dialog.locator("canvas").last)
    editor.look("mask")
    dialog.locator("button", has_text="Save").click()
    dialog.wait_for(state="detached")
    editor.wait_for_node("LoadImage", "node.widgets[0].value.includes('clipspace')")
    editor.run()
    editor.wait("execution_success")
    editor.wait_for_node("PreviewImage", "node.imgs?.[0]?.naturalWidth === 96")
    editor.look("masked")

    assert [path.rsplit("/", 1)[-1] for path in sent] == 4 * ["image"]
    name = editor.node("LoadImage", "node.widgets[0].value").removesuffix(" [input]")
    masked = editor.server.get(f"/view?filename={name}&type=input")
    alpha = Image.open(io.BytesIO(masked.data)).getchannel("A")
    assert alpha.getextrema() == (0, 255)
    assert alpha.getpixel((43, 32)) == 0


def test_a_validation_error_is_shown_at_its_node(editor):
    prompt = picture()
    (sampler,) = (node for node in prompt.values() if node["class_type"] == "KSampler")
    del sampler["inputs"]["model"]
    editor.load(prompt, "broken")
    editor.show("KSampler")

    editor.run()
    overlay = editor.page.get_by_test_id("error-overlay")
    overlay.wait_for()
    editor.look("invalid")

    errors = editor.page.evaluate("app.lastNodeErrors")
    wrong = editor.node("KSampler", "String(node.id)")
    assert list(errors) == [wrong]
    assert errors[wrong]["errors"][0]["type"] == "required_input_missing"
    request, *logged = editor.surprises
    editor.surprises.clear()
    assert request == "400 POST /api/prompt"
    assert all("PromptExecutionError" in text for text in logged)
    editor.page.get_by_test_id("error-overlay-dismiss").click()


def test_an_execution_error_is_shown_at_its_node(editor):
    show = {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}}
    fail = {"class_type": "ToyFail", "inputs": {"a": 5}}
    editor.load({"1": fail, "2": show}, "failing")
    editor.show("ToyFail")

    editor.run()
    editor.wait("execution_error")
    overlay = editor.page.get_by_test_id("error-overlay")
    overlay.get_by_text("ToyFail failed").wait_for()
    editor.look("failed")
    overlay.get_by_text("View details").click()
    editor.page.get_by_text("no 5").first.wait_for()
    editor.look("details")

    error = editor.page.evaluate("app.lastExecutionError")
    assert (error["node_id"], error["node_type"]) == ("1", "ToyFail")


@pytest.mark.slow
def test_behind_a_token_one_visit_to_the_login_page_is_enough(browser, tmp_path):
    with serving(tmp_path, ["--token", TOKEN], ready=False) as locked:
        editor = opened(browser, locked, f"/login?token={TOKEN}")
        names = editor.page.evaluate("Object.keys(LiteGraph.registered_node_types)")
        connected = editor.page.evaluate("comfyAPI.api.api.socket.readyState")

        assert "KSampler" in names
        assert connected == 1
        assert editor.surprises == []


def nodes_of(prompt):
    return {key: (node["class_type"], node["inputs"]) for key, node in prompt.items()}


def converted(page, data):
    """What `nodegraph convert` makes of a file, by the server's own descriptions."""
    known = json.loads(page.server.get("/object_info").data)
    graph = read_workflow(data, lambda name: shape_of(name, known[name]) if name in known else None)
    return nodes_of(to_prompt(graph))


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_sent_as_convert_writes_it(page, name):
    data = json.dumps(DRAWINGS[name]).encode()

    sent = page.prompt_of(data, f"{name}.json", "application/json")

    assert nodes_of(sent) == converted(page, data)


@pytest.mark.slow
def test_parameters_of_another_program_are_sent_as_convert_writes_them(page):
    texts, file = PngImagePlugin.PngInfo(), io.BytesIO()
    texts.add_text("parameters", PARAMETERS)
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=texts)

    sent = page.prompt_of(file.getvalue(), "a.png", "image/png")

    assert nodes_of(sent) == converted(page, file.getvalue())
