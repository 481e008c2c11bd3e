"""`nodegraph app` in a real browser, on a real server: what its visitors do and see."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from tests.server.serving import ROOT, WORKFLOWS, toy, until

if find_spec("gradio") is None:
    pytest.skip("no gradio: pip install -e '.[dev,app]'", allow_module_level=True)
if not (shutil.which("chromium") or shutil.which("chromium-browser")):
    pytest.skip("no chromium on the PATH: apt install chromium", allow_module_level=True)
pytest.importorskip("playwright", reason="no playwright: pip install -e '.[dev,app]'")

from playwright.sync_api import expect

from tests.server.api.editor.editor_page import SCREENSHOTS, browsing

PATIENCE_MS = 60_000
PASSWORD = "correct-horse-battery"
WRONG = {"username": "anna", "password": "another-horse-battery"}
INVERT = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "missing.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "inverted"}},
}


class FormPage:
    """Somebody's open form; `strange` has what was asked of other machines, and errors."""

    def __init__(self, browser, url):
        self.page = browser.new_page(viewport={"width": 1300, "height": 1000})
        self.page.set_default_timeout(PATIENCE_MS)
        self.strange = []
        self.page.on("request", lambda sent: self._note(sent.url, url))
        self.page.on("pageerror", lambda error: self.strange.append(str(error)))
        self.page.goto(url)

    def _note(self, asked, url):
        if not asked.startswith((url, "data:", "blob:")):
            self.strange.append(asked)

    def button(self, name):
        return self.page.get_by_role("button", name=name, exact=True)

    def fill(self, label, value):
        self.page.get_by_label(label, exact=True).fill(value)

    def status(self, text, role="status"):
        found = self.page.get_by_role(role).filter(has_text=re.compile(text))
        expect(found).to_be_visible(timeout=PATIENCE_MS)

    def setting(self, name):
        row = self.page.locator("table.settings tr").filter(
            has=self.page.get_by_role("rowheader", name=name, exact=True)
        )
        return row.locator("td").inner_text(timeout=PATIENCE_MS)

    def picture(self):
        """The newest image, as the browser has it."""
        source = self.page.locator(".grid-container img").first
        source.wait_for()
        answer = self.page.request.get(source.evaluate("image => image.src"))
        return Image.open(io.BytesIO(answer.body()))

    def look(self, name):
        if SCREENSHOTS:
            self.page.screenshot(path=Path(SCREENSHOTS, f"{name}.png"), full_page=True)


@contextmanager
def showing(workflow, *flags, home):
    """`nodegraph app` while the block runs: its process and its URL."""
    command = [sys.executable, "-m", "nodegraph", "app", str(workflow), "--port", "0", *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment["NODEGRAPH_TEMP_DIR"] = str(home / "temp")
    program = subprocess.Popen(
        command, cwd=home, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout
    with program.stdout as said:
        try:
            yield program, said.readline().strip()
        finally:
            program.terminate()
            program.wait(60)


@pytest.fixture(scope="module")
def chromium():
    with browsing() as running:
        yield running


@pytest.fixture
def browser(chromium):
    """A browser whose pages are closed after each test; they would go on drawing otherwise."""
    yield chromium
    for context in chromium.contexts:
        context.close()


@pytest.fixture(scope="module")
def form(server, tmp_path_factory):
    """The shipped text-to-image workflow as a form, on the server that all tests share."""
    flags = ("--server", server.url)
    home = tmp_path_factory.mktemp("form")
    with showing(WORKFLOWS / "txt2img.json", *flags, home=home) as (_, url):
        yield url


def colour(image):
    """The one at the top right, where nothing is drawn."""
    red, green, blue = image.convert("RGB").crop((image.width - 4, 4, image.width - 3, 5)).tobytes()
    return red, green, blue


def generate_at_once(browser, form, server):
    """Two visitors, each with an image; before them, somebody else."""
    first, second = FormPage(browser, form), FormPage(browser, form)
    blocking = server.submit(toy(4000, 0.01), client_id="somebody else")
    first.button("Random").click()
    expect(first.page.get_by_label("Seed")).not_to_have_value("0")
    first.button("Generate").click()
    first.status("You are next")
    second.fill("Prompt", "a small yellow ring at the bottom on a purple background")
    second.fill("Steps", "150")
    second.button("Generate").click()
    second.status("Waiting: 1 other is before you")
    second.look("waiting")
    server.post("/interrupt", {"prompt_id": blocking})

    first.status("Done in")
    second.status(r"Sampler: \d+ of 150")
    expect(second.page.locator(".status-preview")).to_be_visible()
    second.look("running")
    second.status("Done in")
    return first, second


@pytest.mark.slow
def test_two_visitors_at_once_have_their_own_places_and_images(browser, form, server):
    first, second = generate_at_once(browser, form, server)
    blue, purple = first.picture(), second.picture()
    second.look("done")

    assert colour(blue)[0] < 90 < 160 < colour(blue)[2]
    assert min(colour(purple)[0], colour(purple)[2]) > 90
    assert second.setting("Prompt").startswith("a small yellow ring")
    assert first.setting("Seed") == first.page.get_by_label("Seed").input_value()
    drawn = json.loads(blue.info["prompt"])["5"]["inputs"]["seed"]
    assert str(drawn) == first.setting("Seed")
    runs = [server.get(f"/v1/runs/{page.setting('Run')}").json for page in (first, second)]
    assert len({run["client"] for run in runs} - {""}) == 2
    with second.page.expect_download() as download:
        second.page.get_by_text("Download its workflow").click()
    assert json.loads(download.value.path().read_text())["5"]["inputs"]["steps"] == 150
    assert first.strange == second.strange == []


def test_each_image_has_its_settings_and_a_seed_of_its_own(browser, form):
    here = FormPage(browser, form)
    here.fill("Steps", "1")
    here.page.get_by_label("new each time").check()
    images = here.page.locator(".grid-container img")
    for count in (1, 2):
        here.button("Generate").click()
        expect(images).to_have_count(count, timeout=PATIENCE_MS)
        here.status("Done in")
    newest = here.setting("Seed")
    images.nth(1).click()
    expect(here.page.locator("table.settings")).not_to_contain_text(newest)

    assert here.setting("Steps") == "1"


def test_what_runs_can_be_cancelled(browser, form):
    here = FormPage(browser, form)
    here.fill("Steps", "9000")
    here.button("Generate").click()
    here.status(r"Sampler: \d+ of 9000")
    here.button("Cancel").click()
    here.status("Cancelled")

    expect(here.button("Cancel")).to_be_disabled()


def test_who_leaves_makes_room(browser, form, server):
    here = FormPage(browser, form)
    here.fill("Steps", "9001")
    here.button("Generate").click()
    here.status(r"Sampler: \d+ of 9001")
    here.page.close()

    until(lambda: not server.get("/queue").json["queue_running"])


def test_what_is_wrong_is_said(browser, form):
    here = FormPage(browser, form)
    here.fill("Seed", "many")
    here.button("Generate").click()
    here.status("Seed: 'many' is not a whole number", "alert")
    here.look("wrong")


def test_other_names_for_this_machine_are_refused(form):
    request = urllib.request.Request(form, headers={"Host": "attacker.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    with refused.value as answer:
        assert answer.code == 400
    with urllib.request.urlopen(form) as answer:
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "://" not in answer.headers["Content-Security-Policy"]


def test_a_server_of_its_own_takes_pictures_and_ends_with_the_page(browser, tmp_path):
    (tmp_path / "invert.json").write_text(json.dumps(INVERT))
    (tmp_path / "logins").write_text(f"anna: {PASSWORD}\n")
    Image.new("RGB", (48, 32), (255, 0, 0)).save(tmp_path / "red.png")
    folders = [f"--{name}-dir={tmp_path / name}" for name in ("models", "input", "output")]
    flags = (*folders, "--login-file", str(tmp_path / "logins"))
    with showing(tmp_path / "invert.json", *flags, home=tmp_path) as (program, url):
        here = FormPage(browser, url)
        assert here.page.request.post(f"{url}/login", form=WRONG).status == 400
        here.page.get_by_label("username").fill("anna")
        here.page.get_by_label("password").fill(PASSWORD)
        here.button("Login").click()
        here.button("Generate").wait_for()
        here.page.locator("input[type=file]").first.set_input_files(tmp_path / "red.png")
        here.page.locator("[data-testid=image] img").first.wait_for()
        here.button("Generate").click()
        here.status("Done in")
        here.look("picture")
        assert colour(here.picture()) == (0, 255, 255)
        assert here.strange == []
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
        program.send_signal(signal.SIGTERM)
        assert program.wait(60) == 143
    assert not [pid for pid in children if Path(f"/proc/{pid}/cmdline").exists()]


def test_other_machines_are_let_in_only_with_a_login(tmp_path):
    with showing(WORKFLOWS / "txt2img.json", "--host", "0.0.0.0", home=tmp_path) as (program, url):
        assert (program.wait(60), url) == (2, "")
