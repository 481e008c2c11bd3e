"""Every setting that is documented for runs reaches `nodegraph run`, Python graphs and workers."""

import json
import re
import socket
from dataclasses import fields

import pytest
from click.testing import CliRunner

from nodegraph import Graph
from nodegraph.cli import cli
from nodegraph.python import graph as building
from nodegraph.settings.layers import TABLES, types_of, variable
from nodegraph.settings.settings import Settings
from server.worker_process.file_numbers import StoreNaming
from server.worker_process.program import open_engine
from server.workers.wire import Channel
from tests.server.observability.test_metrics import result_cache, weights_cache
from tests.server.serving import ROOT, block, install_toys, serving

PAGE = (ROOT / "docs/settings.md").read_text()
FOR_RUNS = {item.name for item in fields(Settings)} - set(TABLES)
"""All settings but the tables, which are a program's own."""
ORDERED = {"preview_method"}
"""The server sends these with each run: they differ by who looks."""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory where the pack of toys is the only one."""
    install_toys(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "packs")
    monkeypatch.setenv("NODEGRAPH_PACKS", "toys")
    monkeypatch.setenv("NODEGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NODEGRAPH_PACKS_DIR", str(tmp_path / "none"))
    return tmp_path


@pytest.fixture
def used(monkeypatch):
    """The settings that were looked at, other than to read them."""
    found: set[str] = set()
    look, read = Settings.__getattribute__, Settings.read

    def note(self, name):
        found.add(name)
        return look(self, name)

    def read_unnoticed(*args, **kwargs):
        before = set(found)
        settings = read(*args, **kwargs)
        found.intersection_update(before)
        return settings

    for once in (building._engine, building._registry):
        once.cache_clear()
    monkeypatch.setattr(Settings, "__getattribute__", note)
    monkeypatch.setattr(Settings, "read", read_unnoticed)
    yield found
    for once in (building._engine, building._registry):
        once.cache_clear()


def run_command(folder):
    """Run a workflow as `nodegraph run` does."""
    path = folder / "workflow.json"
    path.write_text(json.dumps(block(1)))
    done = CliRunner().invoke(cli, ["run", str(path)])
    assert done.exit_code == 0, done.output


def open_worker(_folder):
    """Open the engine of a worker, and read its packs."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        engine = open_engine({}, StoreNaming(Channel(ours)))
    assert "ToyBlock" in engine.registry.catalog


def run_python(_folder):
    """Run a graph that Python code builds."""
    graph = Graph()
    made = graph.node("ToyBlock", {"kilobytes": 1, "fill": 0})
    graph.node("ToyWeigh", {"data": made[0]})
    assert graph.run().executed == 2


def test_every_setting_is_documented_and_none_that_is_not_there():
    tables = PAGE.partition("## Model folders")[0]
    rows = dict(re.findall(r"^\| `([a-z_.]+)`(.*)$", tables, re.MULTILINE))

    assert rows.keys() == types_of(Settings).keys()
    assert {key for key in rows if variable(key) not in rows[key]} == {"extra_model_paths"}


@pytest.mark.parametrize(
    ("run", "unused"),
    [(run_command, set()), (open_worker, ORDERED), (run_python, ORDERED)],
    ids=["command", "worker", "Python"],
)
def test_every_setting_for_runs_is_used(here, used, run, unused):
    run(here)

    assert FOR_RUNS - used == unused


def test_a_run_and_a_worker_do_as_the_settings_say(here):
    (here / "nodegraph.toml").write_text(
        'attention = "math"\nresult_cache = "3MiB"\nweights_cache = "5MiB"\n'
    )
    (here / "workflow.json").write_text(json.dumps(block(1)))
    done = CliRunner().invoke(cli, ["run", "workflow.json", "--json"])
    with serving(here, ("--device", "cpu")) as server:
        run = server.finished(server.submit(block(1)))
        limits = [of(server)["limit_bytes"] for of in (result_cache, weights_cache)]

    shown = [json.loads(line).get("ui") for line in done.stdout.splitlines()]
    assert [ui["attention"] for ui in shown if ui] == [["math"]]
    assert run["outputs"]["2"]["attention"] == ["math"]
    assert limits == [3 << 20, 5 << 20]
