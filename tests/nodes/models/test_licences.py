"""The licences of published models are in the docs, and `models show` prints those of a family."""

import json
import re
from pathlib import Path

from click.testing import CliRunner

from nodegraph.cli import cli
from nodes.models.families.registry import families
from tests.tiny_models.checkpoints import small_flux, write

DOCS = Path(__file__).parents[3] / "docs/checkpoints.md"


def test_each_family_has_releases_and_the_docs_list_them_all():
    chapter = DOCS.read_text().split("## Licences")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", chapter, re.MULTILINE)[1:]

    known = [release for family in families() for release in family.releases]

    assert all(family.releases for family in families())
    assert rows == [(r.models, r.licence.name, r.licence.commercial_use) for r in known]


def test_show_prints_the_releases_of_a_model_family(tmp_path, monkeypatch):
    monkeypatch.setenv("NODEGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NODEGRAPH_PACKS", ",")
    path = write(tmp_path / "ours.safetensors", small_flux())

    shown = CliRunner().invoke(cli, ["models", "show", str(path)]).stdout.splitlines()
    facts = json.loads(CliRunner().invoke(cli, ["models", "show", str(path), "--json"]).stdout)

    releases = [" ".join(line.split()) for line in shown if line.startswith("releases")]
    assert releases == [f"releases {text}" for text in facts["releases"]]
    assert any("FLUX.1-schnell: Apache License 2.0" in text for text in releases)
    assert any(text.endswith("commercial use of the weights: no") for text in releases)
    assert "licence     -" in shown
