"""Runs on a ComfyUI server as ComfyUI's web editor shows them, in a real browser."""

import shutil

import pytest

from server.api.editor.packages import find_editor
from tests.server.serving import install_toys, serving, until
from tests.server.workers.comfyui.conftest import knows
from tests.server.workers.comfyui.dialect import dialect
from tests.server.workers.comfyui.prompts import node

if not find_editor().static:
    pytest.skip("no editor: pip install -e '.[dev,ui]'", allow_module_level=True)
if not (shutil.which("chromium") or shutil.which("chromium-browser")):
    pytest.skip("no chromium on the PATH: apt install chromium", allow_module_level=True)
pytest.importorskip("playwright", reason="no playwright: pip install -e '.[dev,ui]'")

from tests.server.api.editor.editor_page import browsing, opened


@pytest.mark.slow
def test_previews_progress_and_widgets_of_another_server_are_seen(tmp_path):
    install_toys(tmp_path)
    prompt = {
        "1": node("ForeignSteps", value=7, count=40, seconds=0.1),
        "5": node("ForeignSteps", value=["1", 0], count=15, seconds=0.1),
        "2": node("ForeignFile", value=["5", 0], prefix="seen"),
        "3": node("EmptyImage", width=96, height=96, batch_size=1, color=0),
        "4": node("SaveImage", images=["3", 0], filename_prefix="seen"),
    }
    with (
        dialect(tmp_path / "theirs") as theirs,
        serving(
            tmp_path, ["--comfyui", f"main={theirs.url}"], {"NODEGRAPH_PACKS": "nodes"}
        ) as ours,
        browsing() as browser,
    ):
        ours.post("/settings", {"Comfy.TutorialCompleted": True})
        until(lambda: knows(ours, "ForeignSteps"))
        editor = opened(browser, ours)
        editor.load(prompt, "foreign")
        editor.show("ForeignSteps")
        labels = editor.node("ForeignSteps", "node.widgets.map(widget => widget.name)")
        editor.run()
        editor.wait("b_preview_with_metadata", 10)
        editor.wait_for_node("ForeignSteps", "node.imgs?.[0]?.src.startsWith('blob:')")
        editor.look("foreign-previews")
        editor.page.wait_for_function("foreignTold.length > 3")
        progress = editor.wait("progress", 10)
        editor.page.wait_for_function("document.body.innerText.match(/Total:\\s*[257]\\d%/)")
        editor.look("foreign-total")
        editor.wait("execution_success")
        editor.wait_for_node("SaveImage", "node.imgs?.[0]?.naturalWidth === 96")
        editor.look("foreign-image")
        source = editor.node("SaveImage", "node.imgs[0].src")
        surprises = editor.surprises

    assert labels == ["value", "count", "seconds", "wild: __a__,__b__"]
    assert progress["max"] == 40
    assert source.startswith(f"{ours.url}/api/view?")
    assert surprises == []
    assert [path.read_text() for path in ours.output.glob("seen*.txt")] == ["7\n"]
