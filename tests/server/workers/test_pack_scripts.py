"""Packs bring scripts for the editor along."""

import pytest

from tests.server.serving import install_toys, serving


@pytest.fixture(scope="module")
def scripted(tmp_path_factory):
    """A server with a pack that has a script, and a secret beside it."""
    home = tmp_path_factory.mktemp("scripted")
    install_toys(home)
    pack = home / "folder" / "mine"
    (pack / "web" / "more").mkdir(parents=True)
    text = "from nodegraph import Pack\nPACK = Pack('mine', '1', (), web='web')\n"
    (pack / "__init__.py").write_text(text)
    (pack / "web" / "more" / "it.js").write_text("export const x = 1;")
    (pack / "secret.js").write_text("no")
    environment = {"NODEGRAPH_PACKS_DIR": str(home / "folder"), "NODEGRAPH_PACKS": "toys,mine"}
    with serving(home, (), environment, ready=False) as server:
        yield server


def test_scripts_are_listed_and_sent(scripted):
    assert "/extensions/mine/more/it.js" in scripted.get("/extensions").json
    reply = scripted.get("/extensions/mine/more/it.js")
    assert (reply.status, reply.data) == (200, b"export const x = 1;")
    assert reply.headers["Content-Type"].startswith("text/javascript")


@pytest.mark.parametrize("name", ["mine/../secret.js", "mine/%2e%2e/secret.js", "other/it.js"])
def test_nothing_else_is(scripted, name):
    assert scripted.get(f"/extensions/{name}").status == 404
