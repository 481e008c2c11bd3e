"""What the editor asks for beside prompts: its own files, settings, what users keep, the log."""

import asyncio
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import pytest

from server.api.editor.packages import EditorFiles, find_editor
from tests.server.serving import PATIENCE, TOYS, install_toys, serving, until

NO_UI = "the extra `ui` is not installed: pip install -e '.[ui]'"
with_ui = pytest.mark.skipif(find_editor() == EditorFiles(), reason=NO_UI)


@with_ui
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/scripts/app.js", "text/javascript; charset=utf-8"),
        ("/materialdesignicons.min.css", "text/css; charset=utf-8"),
        ("/templates/index.json", "application/json"),
        ("/templates/image_sdxl_simple.json", "application/json"),
        ("/docs/KSampler/en.md", "text/markdown; charset=utf-8"),
    ],
)
def test_the_editor_is_served_with_types_that_browsers_accept(server, path, kind):
    reply = server.get(path)

    assert (reply.status, reply.headers["Content-Type"]) == (200, kind)
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Cache-Control"] == "no-cache"


@with_ui
def test_pictures_of_templates_come_from_all_their_packages(server):
    for name in ("flux_schnell-1.webp", "video_wan2_2_14B_t2v-1.webp"):
        reply = server.get(f"/templates/{name}")

        assert (reply.status, reply.headers["Content-Type"]) == (200, "image/webp")


@with_ui
@pytest.mark.parametrize("top", ["templates", "docs", "assets", "extensions"])
@pytest.mark.parametrize("rest", ["..%2f__init__.py", "%2fetc%2fpasswd", "nothing.js", "%00"])
def test_nothing_else_of_the_packages_is_served(server, top, rest):
    assert server.get(f"/{top}/{rest}").status == 404


def test_without_the_editor_a_page_says_what_to_do(tmp_path):
    for name in ("comfyui_frontend_package", "comfyui_embedded_docs"):
        (tmp_path / "packs").mkdir(exist_ok=True)
        (tmp_path / f"packs/{name}.py").touch()  # hides the installed package

    install_toys(tmp_path)
    with serving(tmp_path, environment=TOYS, ready=False) as bare:
        reply = bare.get("/")

        page = reply.data.decode()
        assert 'pip install "nodegraph[ui]"' in page
        assert "/v1/docs" in page
        assert "http://" not in page
        assert "https://" not in page
        assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert bare.get("/docs/KSampler/en.md").status == 404


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/users", {"storage": "server", "migrated": True}),
        ("/i18n", {}),
        ("/workflow_templates", {}),
        ("/global_subgraphs", {}),
    ],
)
def test_the_editor_gets_what_it_begins_with(server, prefix, path, value):
    assert server.get(prefix + path).json == value


def test_settings_are_kept(tmp_path):
    install_toys(tmp_path)
    with serving(tmp_path, environment=TOYS, ready=False) as first:
        assert first.get("/api/settings").json == {}
        assert first.get("/settings/Comfy.Locale").json is None
        assert first.post("/api/settings", {"Comfy.Locale": "de", "a": [1]}).data == b""
        assert first.post("/settings/Comfy.Locale", "fr").status == 200

    with serving(tmp_path, environment=TOYS, ready=False) as second:
        assert second.get("/settings").json == {"Comfy.Locale": "fr", "a": [1]}


def test_settings_that_come_at_once_all_stay(server):
    names = {f"n{number}" for number in range(20)}

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda name: server.post(f"/settings/{name}", name), names))

    assert names <= set(server.get("/settings").json)


@pytest.mark.parametrize("body", [b"{", b"nothing", b"\xff"])
def test_a_setting_that_is_no_json_is_refused(server, body):
    assert server.post("/settings/broken", body).status == 400
    assert server.get("/settings/broken").json is None


def test_damaged_settings_are_told_and_not_overwritten(tmp_path):
    path = tmp_path / "data/editor/settings.json"
    path.parent.mkdir(parents=True)
    path.write_text("{broken")

    install_toys(tmp_path)
    with serving(tmp_path, environment=TOYS, ready=False) as damaged:
        assert damaged.get("/settings").status == 500
        assert damaged.post("/settings/a", 1).status == 500

    assert path.read_text() == "{broken"


def test_a_workflow_is_saved_listed_moved_and_deleted(server):
    body = {"nodes": []}
    saved = server.post("/api/userdata/drawings%2Fsub%2Fa%20b.json?full_info=true", body)
    about = saved.json

    assert about["path"] == "drawings/sub/a b.json"
    assert about["size"] == len(json.dumps(body))
    assert about["modified"] > 1.7e12
    listed = server.get("/userdata?dir=drawings&recurse=true&split=false&full_info=true").json
    assert [entry["path"] for entry in listed] == ["sub/a b.json"]
    assert server.get("/userdata?dir=drawings&recurse=true&split=true").json == [
        ["sub/a b.json", "sub", "a b.json"]
    ]
    assert server.get("/userdata?dir=drawings").json == []
    assert server.get("/v2/userdata?path=drawings").json == [
        {"name": "sub", "path": "drawings/sub", "type": "directory"}
    ]
    moved = server.post("/userdata/drawings%2Fsub%2Fa%20b.json/move/drawings%2Fc.json", b"")
    assert moved.json == "drawings/c.json"
    assert server.get("/userdata/drawings%2Fc.json").json == body
    assert server.get("/userdata/drawings%2Fsub%2Fa%20b.json").status == 404
    assert server.ask("DELETE", "/userdata/drawings%2Fc.json").status == 204
    assert server.ask("DELETE", "/userdata/drawings%2Fc.json").status == 404


def test_nothing_is_overwritten_unasked(server):
    for name in ("one.txt", "two.txt"):
        server.post(f"/userdata/kept%2F{name}", name.encode())

    again = server.post("/userdata/kept%2Fone.txt?overwrite=false", b"new")
    moved = server.post("/userdata/kept%2Fone.txt/move/kept%2Ftwo.txt?overwrite=false", b"")
    onto_folder = server.post("/userdata/kept", b"new")

    assert (again.status, moved.status, onto_folder.status) == (409, 409, 409)
    assert server.get("/userdata/kept%2Fone.txt").data == b"one.txt"
    assert server.get("/userdata/kept%2Ftwo.txt").data == b"two.txt"
    assert server.post("/userdata/kept%2Fone.txt", b"new").status == 200
    assert server.get("/userdata/kept%2Fone.txt").data == b"new"


@pytest.mark.parametrize(
    "name", ["..%2fx", "%2fetc%2fx", "a%2f..%2f..%2fx", "a%00b", "C:%5cx", "%2e%2e%5cx"]
)
def test_names_that_lead_elsewhere_are_refused(server, name):
    assert server.post(f"/userdata/{name}", b"x").status == 400
    assert server.get(f"/userdata/{name}").status == 400
    assert server.ask("DELETE", f"/userdata/{name}").status == 400
    assert server.get(f"/userdata?dir={name}").status == 400


def test_links_out_of_the_folder_are_not_followed(server, tmp_path):
    (tmp_path / "secret").write_text("secret")
    root = server.home / "data/editor/files"
    root.mkdir(parents=True, exist_ok=True)
    (root / "link").symlink_to(tmp_path)

    assert server.get("/userdata/link%2Fsecret").status == 400
    assert server.post("/userdata/link%2Fsecret", b"x").status == 400
    assert (tmp_path / "secret").read_text() == "secret"


@pytest.mark.parametrize("name", ["evil.html", "evil.svg", "evil.js"])
def test_kept_files_never_run_in_the_page(server, name):
    server.post(f"/userdata/{name}", b"<script>alert(1)</script>")

    headers = server.get(f"/userdata/{name}").headers

    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == "attachment"
    assert "sandbox" in headers["Content-Security-Policy"]


def test_the_user_style_sheet_is_empty_or_the_users_own(server):
    assert server.get("/user.css").status == server.get("/api/userdata/user.css").status == 200
    server.post("/userdata/user.css", b"body { color: red }")

    for path in ("/user.css", "/api/userdata/user.css"):
        reply = server.get(path)
        assert reply.data == b"body { color: red }"
        assert reply.headers["Content-Type"].startswith("text/css")


def test_the_log_is_shown_and_followed(tmp_path):
    async def follow(server):
        heard = []
        url = f"{server.socket_url}?clientId=me"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            wish = {"clientId": "me", "enabled": True}
            place = f"{server.url}/internal/logs/subscribe"
            async with session.patch(place, json=wish) as reply:
                assert reply.status == 200
            os.kill(until(server.worker_pids)[0], signal.SIGKILL)
            while not heard:
                message = await socket.receive_json(timeout=PATIENCE)
                heard += message["data"]["entries"] if message["type"] == "logs" else []
        return heard

    install_toys(tmp_path)
    with serving(tmp_path, environment=TOYS, ready=False) as server:
        (entry,) = asyncio.run(follow(server))
        raw = server.get("/internal/logs/raw").json

        assert "SIGKILL" in entry["m"]
        assert entry in raw["entries"]
        assert set(raw["size"]) == {"cols", "rows"}
        assert "SIGKILL" in server.get("/internal/logs").json
        assert server.ask("PATCH", "/internal/logs/subscribe", {"enabled": 1}).status == 400
