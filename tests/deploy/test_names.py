"""All that deploy/ and its pages name is there: settings, routes, metrics, tables, files."""

import json
import re
import sqlite3
import tomllib
from contextlib import closing

import pytest
import yaml

from nodegraph.settings.layers import FILE_VARIABLE, types_of, variable
from nodegraph.settings.settings import Settings
from server.observability.metrics import Metrics
from server.store.store import Store
from tests.deploy.reading import DEPLOY, ROOT, files_of, pages

SETTINGS = {FILE_VARIABLE, *(variable(key) for key in types_of(Settings))}
ROUTES = (ROOT / "tests/server/api/routes.txt").read_text()
TEXTS = [path for path in (*files_of(), *pages()) if path.suffix != ".txt"]
CHART = DEPLOY / "kubernetes/nodegraph"
OF_COMPOSE = {"NODEGRAPH_TOKEN"}
"""Variables of deploy/compose/.env, which are no settings."""


def named(path):
    return path.relative_to(ROOT).as_posix()


def test_the_files_are_found():
    assert len(files_of()) > 20
    assert len(pages()) == 4


@pytest.mark.parametrize("path", files_of(".yaml", ".yml", ".json"), ids=named)
def test_a_file_can_be_read(path):
    if "templates" in path.parts:
        assert "{{" in path.read_text()
    elif path.suffix == ".json":
        assert json.loads(path.read_text())
    else:
        assert list(yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize("path", TEXTS, ids=named)
def test_every_setting_that_is_named_exists(path):
    used = set(re.findall(r"\bNODEGRAPH_[A-Z][A-Z_]+\b", path.read_text()))

    assert used - SETTINGS - OF_COMPOSE == set()


@pytest.mark.parametrize("route", ["/healthz", "/readyz", "/metrics", "/score"])
def test_every_route_that_probes_and_endpoints_call_exists(route):
    assert re.search(rf"^\S+ {route}$", ROUTES, re.MULTILINE)
    assert any(route in path.read_text() for path in TEXTS)


def metrics():
    """The names of all samples on a page of metrics."""
    page = Metrics()
    page.watch_queue(dict)
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page.page().decode(), re.MULTILINE))
    histograms = [name for name, kind in kinds.items() if kind == "histogram"]
    return {
        *kinds,
        *(f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")),
    }


@pytest.mark.parametrize("path", TEXTS, ids=named)
def test_every_metric_that_is_named_exists(path):
    used = set(re.findall(r"\b(?:nodegraph|process)_[a-z_]*[a-z]\b", path.read_text()))

    assert used - metrics() == set()


def test_every_panel_of_the_dashboard_shows_a_metric():
    dashboard = json.loads((DEPLOY / "monitoring/dashboard.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    known = metrics()

    assert len(panels) > 10
    for panel in panels:
        assert panel["description"]
        for target in panel["targets"]:
            assert set(re.findall(r"\b(?:nodegraph|process)_\w+", target["expr"])) & known


def test_the_queue_is_asked_in_words_that_it_knows(tmp_path):
    text = (DEPLOY / "containerapps/main.bicep").read_text()
    found = re.search(r"query: '((?:\\'|[^'])*)'", text)
    assert found
    query = found[1].replace("\\'", "'")
    path = tmp_path / "queue.sqlite"
    store = Store(path)
    store.open()
    store.close()

    with closing(sqlite3.connect(path)) as queue:
        assert queue.execute(query).fetchone() == (0,)


def test_versions_are_the_project_s():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["version"] == chart["appVersion"] == version
    for path in TEXTS:
        for tag in re.findall(r"nodegraph:(\d+\.\d+\.\d+)", path.read_text()):
            assert (path, tag) == (path, version)


def test_every_value_of_the_chart_is_used():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    templates = "".join(path.read_text() for path in (CHART / "templates").iterdir())

    assert values.keys() == schema["properties"].keys() - {"global"}
    assert [key for key in values if f".Values.{key}" not in templates] == []


def test_all_links_and_files_of_the_pages_are_there():
    for page in (*pages(), DEPLOY / "README.md"):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{named(page)}: {link}"
        for place in re.findall(r"(?<![\w/])(deploy/[\w./-]*[\w/])", page.read_text()):
            assert (ROOT / place).exists(), f"{named(page)}: {place}"


def test_every_file_is_in_the_table_of_the_readme():
    table = (DEPLOY / "README.md").read_text()
    places = {path.relative_to(DEPLOY) for path in files_of() if path.name != "README.md"}

    for place in places:
        candidates = [place.as_posix(), *(f"{parent.as_posix()}/" for parent in place.parents)]
        assert any(f"`{name}`" in table for name in candidates[:-1]), place
