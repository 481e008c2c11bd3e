"""Widgets that the web editor draws in its newer nodes: painting, and curves with histograms."""

import shutil

import pytest
from PIL import Image

from server.api.editor.packages import find_editor
from tests.server.serving import serving

if not find_editor().static:
    pytest.skip("no editor: pip install -e '.[dev,ui]'", allow_module_level=True)
if not (shutil.which("chromium") or shutil.which("chromium-browser")):
    pytest.skip("no chromium on the PATH: apt install chromium", allow_module_level=True)
pytest.importorskip("playwright", reason="no playwright: pip install -e '.[dev,ui]'")

from tests.server.api.editor.editor_page import browsing, opened

CURVE = {"points": [[0, 0], [0.4, 0.6], [1, 1]], "interpolation": "monotone_cubic"}
CANVAS = {"mask": "", "width": 512, "height": 512, "bg_color": "#204060"}
PROMPT = {
    "1": {"class_type": "Painter", "inputs": CANVAS},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "drawn"}},
    "3": {"class_type": "ImageHistogram", "inputs": {"image": ["1", 0]}},
    "4": {"class_type": "CurveEditor", "inputs": {"histogram": ["3", 1], "curve": CURVE}},
    "5": {"class_type": "PreviewAny", "inputs": {"source": ["4", 0]}},
}


@pytest.mark.slow
def test_what_is_painted_in_the_editor_is_on_the_image_and_in_the_histogram(tmp_path):
    with serving(tmp_path) as server, browsing() as browser:
        server.post("/settings", {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": True})
        editor = opened(browser, server)
        editor.load(PROMPT, "drawn")
        editor.show("Painter")
        editor.paint(editor.page.locator("[data-node-id='1'] canvas").first)
        editor.run()
        editor.wait("execution_success")
        editor.show("CurveEditor")
        editor.look("curve")
        shown = server.get("/history?max_items=1").json
        surprises = editor.surprises

    assert surprises == []
    picture = Image.open(tmp_path / "output/drawn_00001_.png").convert("RGB")
    assert picture.getpixel((0, 0)) == (0x20, 0x40, 0x60)
    middle = [picture.getpixel((x, 256)) for x in range(160, 300)]
    assert middle.count((255, 255, 255)) > 130
    (run,) = shown.values()
    histogram = run["outputs"]["4"]["histogram"]
    assert len(histogram) == 256
    assert histogram[255] > 1000
    assert sum(histogram) == 512 * 512
