"""Scripts and routes of a ComfyUI server's packs, through ours: what comes, and what never does."""

import pytest

from nodegraph.errors import SettingsError
from nodegraph.settings.server import ServerSettings
from server.workers.comfyui.addresses import read_addresses
from tests.server.api.comfy.listening import listening
from tests.server.serving import install_toys, serving, until
from tests.server.workers.comfyui.conftest import TOKEN, knows
from tests.server.workers.comfyui.dialect import dialect
from tests.server.workers.comfyui.dialect_packs import FILES, Packs
from tests.server.workers.comfyui.prompts import steps

SECRETS = {"Authorization": "Bearer ours-alone", "Cookie": "nodegraph_token=ours-alone"}
ROUTES = ("/impact/more/*", "/impact/page", "/impact/away", "/impact/long")
SCRIPT = "/extensions/Foreign%20Pack/js/foreign.js"


@pytest.fixture(scope="module")
def scripted(tmp_path_factory):
    """Our server with a pack that has a script, before one with packs that have some."""
    home = tmp_path_factory.mktemp("scripts")
    install_toys(home)
    pack = home / "folder" / "mine"
    (pack / "web").mkdir(parents=True)
    (pack / "__init__.py").write_text(
        "from nodegraph import Pack\nPACK = Pack('mine', '1', (), web='web')\n"
    )
    (pack / "web" / "it.js").write_text("export const whose = 'ours';")
    environment = {
        "NODEGRAPH_PACKS_DIR": str(home / "folder"),
        "NODEGRAPH_PACKS": "toys,mine",
        "NODEGRAPH_SERVER_COMFYUI_HEADERS": f"main=Authorization: Bearer {TOKEN}",
        "NODEGRAPH_SERVER_COMFYUI_ROUTES": ", ".join(ROUTES),
    }
    with dialect(home / "theirs", TOKEN) as theirs:
        flags = ["--comfyui", f"main={theirs.url}"]
        with serving(home, flags, environment, ready=False) as ours:
            until(lambda: knows(ours, "ForeignSteps"))
            yield ours


def seen(server):
    """The last request that theirs got: method, path and headers."""
    return Packs(server.home / "theirs").seen()[-1]


def test_scripts_are_listed_but_for_those_that_are_here_and_those_that_never_are(scripted):
    found = scripted.get("/extensions").json

    assert [path for path in found if "Foreign Pack" in path] == [
        f"/extensions/{name}" for name in FILES if name.startswith("Foreign") and ".js" in name
    ]
    assert found.count("/extensions/mine/it.js") == 1
    assert not [
        path for path in found if "ComfyUI-Manager" in path or "theirs" in path or ".." in path
    ]
    assert all(path.startswith("/extensions/") and path.endswith(".js") for path in found)


def test_a_script_comes_with_our_type_and_nothing_else_of_theirs(scripted):
    reply = scripted.get(SCRIPT, **SECRETS)
    method, path, headers = seen(scripted)

    assert (reply.status, reply.data.decode()) == (200, FILES["Foreign Pack/js/foreign.js"])
    assert reply.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert reply.headers["X-ComfyUI-Server"] == "main"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in reply.headers
    assert (method, path) == ("GET", SCRIPT)
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert not [value for value in headers.values() if "ours-alone" in value]
    assert TOKEN not in str(reply.headers)


def test_our_own_pack_of_a_name_goes_before_theirs(scripted):
    assert b"ours" in scripted.get("/extensions/mine/it.js").data
    assert scripted.get("/extensions/MINE/it.js").status == 404


@pytest.mark.parametrize(
    ("name", "kind"),
    [("style.css", "text/css"), ("page.html", "text/plain"), ("icon.svg", "image/svg+xml")],
)
def test_other_files_of_a_pack_come_but_run_nothing(scripted, name, kind):
    reply = scripted.get(f"/extensions/Foreign%20Pack/{name}")

    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith(kind)
    assert "sandbox" in reply.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/extensions/Foreign%20Pack/none.js",
        "/extensions/Foreign%20Pack/../../queue",
        "/extensions/Foreign%20Pack/%2e%2e/%2e%2e/queue",
        "/extensions/Foreign%20Pack/..%2f..%2fqueue",
        "/extensions/Foreign%20Pack/a%5c..%5cb.js",
        "/extensions/Foreign%20Pack/a%0ab.js",
        "/extensions/ComfyUI-Manager/manager.js",
        "/extensions/core/theirs.js",
        "/extensions/Elsewhere/x.js",
    ],
)
def test_nothing_else_comes(scripted, path):
    before = len(Packs(scripted.home / "theirs").seen())

    assert scripted.get(path).status in (403, 404)
    asked = Packs(scripted.home / "theirs").seen()[before:]
    assert [path for _, path, _ in asked] == ([path] if path.endswith("none.js") else [])


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_route_that_scripts_need_is_asked_there(scripted, prefix):
    reply = scripted.get(f"{prefix}/impact/wildcards/list?x=a%20b", **SECRETS)
    method, path, headers = seen(scripted)

    assert (reply.status, reply.json) == (200, ["__a__", "__b__"])
    assert (method, path) == ("GET", "/impact/wildcards/list?x=a%20b")
    assert "Set-Cookie" not in reply.headers
    assert "sandbox" in reply.headers["Content-Security-Policy"]
    assert not [value for value in headers.values() if "ours-alone" in value]
    assert "Cookie" not in headers


def test_a_route_of_the_settings_is_asked_too_and_a_page_is_a_download(scripted):
    page = scripted.get("/impact/page")

    assert scripted.get("/impact/more/of%2Fit").status == 200
    assert seen(scripted)[1] == "/impact/more/of%2Fit"
    assert page.headers["Content-Type"] == "application/octet-stream"
    assert page.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/manager/reboot"),
        ("GET", "/impact/other"),
        ("GET", "/impact/more/../../manager/reboot"),
        ("GET", "/impact/more/%2e%2e/%2e%2e/manager/reboot"),
        ("GET", "/impact/more/..%2F..%2Fmanager/reboot"),
        ("GET", "/impact/more//x"),
        ("POST", "/impact/wildcards/list"),
        ("DELETE", "/impact/wildcards/list"),
    ],
)
def test_no_other_route_is(scripted, method, path):
    before = len(Packs(scripted.home / "theirs").seen())

    assert scripted.ask(method, path).status in (403, 404, 405)
    assert len(Packs(scripted.home / "theirs").seen()) == before


@pytest.mark.parametrize("path", ["/impact/away", "/impact/long"])
def test_an_answer_that_leads_away_or_has_no_end_is_none(scripted, path):
    reply = scripted.get(path)

    assert (reply.status, reply.data) == (502, b"502: the ComfyUI server 'main' does not answer.\n")


def test_pages_of_other_sites_get_no_script_and_no_route(scripted):
    for path in (SCRIPT, "/impact/wildcards/list", "/extensions"):
        assert scripted.get(path, Origin="http://evil.example").status == 403


def test_what_a_pack_tells_its_scripts_reaches_the_client_of_the_run(scripted):
    with listening(scripted, "mine") as mine, listening(scripted, "other") as other:
        mine.ended(scripted.submit(steps(count=3), client_id="mine"))

    assert mine.data("foreign.told") == [{"step": step} for step in range(3)]
    assert other.data("foreign.told") == []


@pytest.mark.parametrize(
    ("entry", "scripts", "expected"),
    [
        ("http://127.0.0.1:1", "local", True),
        ("six=http://[::1]:1", "local", True),
        ("http://localhost:1", "local", True),
        ("http://localhost.evil.example:1", "local", False),
        ("http://192.168.1.2:1", "local", False),
        ("https://gpu.lan", "all", True),
        ("http://127.0.0.1:1", "none", False),
    ],
)
def test_scripts_come_from_this_machine_unless_the_settings_say_otherwise(entry, scripts, expected):
    (found,) = read_addresses(ServerSettings(comfyui=(entry,), comfyui_scripts=scripts))

    assert found.gives_scripts is expected


@pytest.mark.parametrize("route", ["/", "/*", "impact", "/a/?x", "/api/impact/x", "http://x/y"])
def test_a_route_that_is_none_of_a_pack_is_refused(route):
    with pytest.raises(SettingsError, match="no path of a pack"):
        read_addresses(ServerSettings(comfyui_routes=(route,)))
