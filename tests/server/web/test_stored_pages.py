"""What users store never acts as a page of ours, in a real browser."""

import shutil
from contextlib import suppress
from urllib.parse import quote

import pytest

from tests.server.serving import toy
from tests.server.web.test_files import png, stored

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SCRIPT = (
    "<script>fetch('/userdata/pwned.txt',{method:'POST',body:'x'});document.title='ran'</script>"
)
PAGE = f"<html><body>{SCRIPT}</body></html>".encode()
SVG = f'<svg xmlns="http://www.w3.org/2000/svg">{SCRIPT}</svg>'.encode()
STORED = {
    "page.html": PAGE,
    "page.svg": SVG,
    "page.xhtml": PAGE,
    "page.png": PAGE,
    "both.png": png() + PAGE,
    "page.mp4": PAGE,
    "page.webp": PAGE,
    "page": PAGE,
}


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_no_stored_file_runs_a_script_in_a_browser(server):
    playwright = pytest.importorskip("playwright.sync_api")
    urls = []
    for name, data in STORED.items():
        kept = stored(server, name, data)["name"]
        server.post(f"/userdata/{name}", data)
        urls += [f"/view?type=input&filename={quote(kept)}", f"/userdata/{name}"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"data:text/html,{PAGE.decode()}")
        assert page.title() == "ran", "scripts run in this browser"
        page.goto("about:blank")
        titles = []
        for url in urls:
            with suppress(playwright.Error):  # it is downloaded, and no page
                page.goto(f"{server.url}{url}", wait_until="load", timeout=5000)
            titles.append(page.title())
        browser.close()

    assert "ran" not in titles
    assert server.get("/userdata/pwned.txt").status == 404


@pytest.mark.parametrize("name", STORED)
def test_stored_files_are_sandboxed_and_never_pages(server, name):
    kept = stored(server, name, STORED[name])["name"]
    server.post(f"/userdata/{name}", STORED[name])
    for url in (f"/view?type=input&filename={quote(kept)}", f"/userdata/{name}"):
        headers = server.get(url).headers
        kind = headers["Content-Type"]
        assert "html" not in kind, url
        assert "svg" not in kind, url
        assert "xml" not in kind, url
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in headers["Content-Security-Policy"]
        harmless = kind.startswith(("image/", "video/"))
        assert harmless or headers["Content-Disposition"].startswith("attachment")


def test_titles_and_texts_of_a_workflow_stay_text(server):
    prompt = toy()
    prompt["1"]["_meta"] = {"title": SCRIPT}
    run = server.submit(prompt, client_id=SCRIPT, extra_data={"extra_pnginfo": {"x": SCRIPT}})
    server.finished(run)
    for path in ("/history", f"/history/{run}", f"/v1/runs/{run}", "/jobs", "/v1/runs"):
        headers = server.get(path).headers
        assert headers["Content-Type"].startswith("application/json"), path
        assert headers["X-Content-Type-Options"] == "nosniff"
    for path in ("/", "/v1/docs", f"/v1/runs/{SCRIPT.partition('(')[0]}", "/nowhere/<script>"):
        reply = server.get(path.replace("<", "%3C").replace(">", "%3E").replace(" ", "%20"))
        assert b"pwned" not in reply.data
        kind = reply.headers["Content-Type"]
        assert "html" not in kind or reply.status == 200, path


@pytest.mark.parametrize("text", ["a\r\nSet-Cookie: x=1", "a%0d%0aSet-Cookie:%20x=1", "a\nb"])
def test_line_breaks_in_values_make_no_headers(server, text):
    name = stored(server, "lines.png", png())["name"]
    spelt = text.replace("\r", "%0D").replace("\n", "%0A").replace(" ", "%20")
    for url in (
        f"/view?type=input&filename={name}&preview={spelt}",
        f"/view?filename={spelt}",
        f"/userdata/{spelt}",
        f"/v1/runs/{spelt}",
        f"/login?token={spelt}",
    ):
        reply = server.get(url)
        assert "Set-Cookie" not in reply.headers
        assert reply.status < 500
