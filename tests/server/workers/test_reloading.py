"""Packs that somebody is writing: the next run has what was edited, the rest is as it was."""

import pytest

from tests.server.serving import install_toys, serving, until


@pytest.fixture(scope="module")
def developing(tmp_path_factory):
    """A server that looks after its packs, with one in its folder that has two modules."""
    home = tmp_path_factory.mktemp("developing")
    install_toys(home)
    pack = home / "folder" / "mine"
    pack.mkdir(parents=True)
    (pack / "__init__.py").write_text(
        "from nodegraph import Pack\nPACK = Pack('mine', '1', ('mine.slow', 'mine.quick'))\n"
    )
    (pack / "slow.py").write_text(NODE.format(name="Slow", result="x + 1"))
    (pack / "quick.py").write_text(NODE.format(name="Quick", result="x * 2"))
    environment = {"NODEGRAPH_PACKS_DIR": str(home / "folder"), "NODEGRAPH_PACKS": "toys,mine"}
    with serving(home, ["--reload-packs"], environment) as server:
        yield server, pack


NODE = '''
from nodegraph import node

@node("{name}", category="mine")
def declared(x: int) -> int:
    """Reckon."""
    return {result}
'''
PROMPT = {
    "1": {"class_type": "Slow", "inputs": {"x": 1}},
    "2": {"class_type": "Quick", "inputs": {"x": ["1", 0]}},
    "3": {"class_type": "ToyShow", "inputs": {"a": ["2", 0]}},
}


def shown(server):
    """What a run shows, and which of its nodes were there already."""
    entry = server.finished(server.submit(PROMPT))
    messages = dict(entry["status"]["messages"])
    return entry["outputs"]["3"]["text"], set(messages["execution_cached"]["nodes"])


def test_an_edited_node_is_used_and_the_others_results_stay(developing):
    server, pack = developing
    assert shown(server)[0] == ["4"]

    (pack / "quick.py").write_text(NODE.format(name="Quick", result="x * 10"))
    value, cached = until(lambda: (found := shown(server))[0] == ["20"] and found)

    assert value == ["20"]
    assert cached == {"1"}


def test_a_folder_that_is_no_pack_is_told_and_a_pack_that_exits_hurts_nobody(developing):
    server, pack = developing
    value, _ = shown(server)
    log = server.home / "log.txt"
    (pack.parent / "empty").mkdir()
    until(lambda: "empty has no __init__.py" in log.read_text())

    (pack / "slow.py").write_text("import os; os._exit(3)")
    until(lambda: "with exit code 3" in log.read_text())
    assert server.get("/object_info/ToyShow").json

    (pack / "slow.py").write_text(NODE.format(name="Slow", result="x + 1"))
    until(lambda: server.get("/object_info/Slow").json)
    assert shown(server)[0] == value


def test_a_pack_that_breaks_is_told_and_comes_back(developing):
    server, pack = developing
    good = (pack / "slow.py").read_text()
    (pack / "slow.py").write_text("def")
    until(lambda: server.get("/object_info/Slow").json == {})

    refused = server.post("/prompt", {"prompt": PROMPT})
    assert refused.status == 400
    assert "SyntaxError" in (server.home / "log.txt").read_text()

    (pack / "slow.py").write_text(good)
    until(lambda: server.get("/object_info/Slow").json)
    assert shown(server)[0]
