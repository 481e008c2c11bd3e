"""The snapshot of a pack counts while it fits the pack's files, and not a moment longer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nodegraph.errors import PackError
from nodegraph.packs import catalog as catalog_module
from nodegraph.packs.catalog import SHIPPED, PackSource, describe_apart, read_catalog
from nodegraph.packs.snapshot import as_text
from tests.nodegraph.install_pack import NODE, install

DEMO = PackSource("demo", "demo_pack")


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.fixture
def children(monkeypatch):
    """How often a child process described a pack."""
    calls = []
    monkeypatch.setattr(
        catalog_module,
        "describe_apart",
        lambda pack, patience: calls.append(pack.name) or describe_apart(pack, patience),
    )
    return calls


def names(catalog):
    return [spec.name for spec in catalog.nodes]


def test_a_pack_is_described_once(site, tmp_path, children):
    install(site, "demo", nodes=["Demo"])
    first, second = (read_catalog(DEMO, tmp_path / "cache") for _ in range(2))

    assert first == second
    assert names(first) == ["Demo"]
    assert children == ["demo"]


@pytest.mark.parametrize("where", ["module0.py", "below/new.py"])
def test_a_pack_is_described_anew_when_a_file_changes(site, tmp_path, children, where):
    package = install(site, "demo", nodes=["Demo"])
    read_catalog(DEMO, tmp_path / "cache")
    (package / where).parent.mkdir(exist_ok=True)
    (package / where).write_text(NODE.format(name="Other"))
    changed = read_catalog(DEMO, tmp_path / "cache")

    assert names(changed) == (["Other"] if where == "module0.py" else ["Demo"])
    assert len(children) == 2


def test_a_snapshot_that_ships_with_the_pack_is_used_while_it_fits(site, tmp_path, children):
    package = install(site, "demo", nodes=["Demo"])
    (package / SHIPPED).write_text(as_text(describe_apart(DEMO)))
    read_catalog(DEMO, tmp_path / "cache")
    fitting = list(children)
    (package / "module0.py").write_text(NODE.format(name="Other"))

    assert fitting == []
    assert names(read_catalog(DEMO, tmp_path / "cache")) == ["Other"]


@pytest.mark.parametrize("damage", ["", "[]", '{"format": 1}', '{"models": 1, "nodes": [{}]}'])
def test_a_damaged_snapshot_is_made_anew(site, tmp_path, children, damage):
    install(site, "demo", nodes=["Demo"])
    read_catalog(DEMO, tmp_path / "cache")
    (kept,) = (tmp_path / "cache/packs").iterdir()
    kept.write_text(damage)

    assert names(read_catalog(DEMO, tmp_path / "cache")) == ["Demo"]
    assert len(children) == 2


def test_does_without_a_cache_folder_that_cannot_be_written(site, tmp_path):
    install(site, "demo", nodes=["Demo"])
    (tmp_path / "file").touch()

    assert names(read_catalog(DEMO, tmp_path / "file")) == ["Demo"]


def test_keeps_the_last_few_snapshots_only(site, tmp_path):
    install(site, "demo", nodes=["Demo"])
    catalog = describe_apart(DEMO)
    for k in range(6):
        catalog_module._keep(tmp_path / f"demo-{k:016}.json", catalog, "demo")
    catalog_module._keep(tmp_path / f"demo-lition-{0:016}.json", catalog, "demo-lition")

    kept = sorted(path.name for path in tmp_path.glob("*.json"))
    assert kept == [*(f"demo-{k:016}.json" for k in range(2, 6)), f"demo-lition-{0:016}.json"]


def test_a_pack_that_takes_too_long_is_given_up(site):
    install(site, "demo", init="import time; time.sleep(60)")

    with pytest.raises(PackError, match=r"more than 0\.5 s"):
        describe_apart(DEMO, patience=0.5)


def test_more_patience_is_worth_another_try_and_nothing_less(site, tmp_path, children, monkeypatch):
    install(site, "demo", init="import time; time.sleep(60)")

    for patience, path in (
        (0.5, ""),
        (0.5, str(Path.cwd())),
        (0.6, str(Path(sys.executable).parent)),
    ):
        monkeypatch.syspath_prepend(path)  # as the command, a module and a script have it
        with pytest.raises(PackError, match=f"more than {patience} s"):
            read_catalog(DEMO, tmp_path, patience)
    assert len(children) == 2


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os._exit(3)", "with exit code 3."),
        ("import os; os.kill(os.getpid(), 9)", "with signal 9."),
        ("import os; print('bye', flush=True); os._exit(0)", "exit code 0. It printed: 'bye'."),
        ("import sys; sys.exit('enough')", "demo_pack/__init__.py:1: SystemExit: enough"),
        ("\nraise ValueError('two\\nlines')", "__init__.py:2: ValueError: two\nlines"),
        ("input()", "EOFError"),
    ],
)
def test_how_a_pack_breaks_is_told(site, code, message):
    install(site, "demo", init=code)

    with pytest.raises(PackError) as told:
        describe_apart(DEMO)
    assert message in str(told.value)


def test_what_a_pack_prints_does_not_matter(site):
    install(
        site,
        "demo",
        init="""
            import os
            from nodegraph.definition.pack import Pack
            print("hello"); os.write(1, b"{}")
            PACK = Pack("demo", "1.0", ())
        """,
    )

    assert describe_apart(DEMO).version == "1.0"


def test_a_pack_that_is_not_there_is_reported(tmp_path):
    with pytest.raises(PackError, match="is not there"):
        read_catalog(PackSource("gone", "gone_pack"), tmp_path)
    with pytest.raises(PackError, match="cannot be found"):
        read_catalog(PackSource("gone", "gone_pack.below"), tmp_path)


def test_line_endings_do_not_matter(site, tmp_path):
    package = install(site, "demo", nodes=["Demo"])
    before = DEMO.digest()
    for path in package.glob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    assert DEMO.digest() == before


def test_the_snapshot_is_json_with_a_node_a_line(site):
    install(site, "demo", nodes=["First", "Second"])
    text = as_text(describe_apart(DEMO))

    assert [node["name"] for node in json.loads(text)["nodes"]] == ["First", "Second"]
    assert len([line for line in text.splitlines() if '"module"' in line]) == 2


def test_the_built_in_pack_s_snapshot_is_current():
    built_in = PackSource("nodes", "nodes")
    shipped = json.loads((built_in.origin().parent / SHIPPED).read_text())

    assert shipped["digest"] == built_in.digest(), "run: make catalog"


def test_the_catalog_is_read_without_torch(tmp_path):
    code = """
import sys
from nodegraph.packs.registry import Registry
assert len(Registry.load(["nodes"]).catalog) > 20
print(*[name for name in ("torch", "diffusers", "numpy", "aiohttp") if name in sys.modules])
"""
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    child = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert child.stdout.strip() == ""


def test_a_pack_that_failed_is_tried_again_only_when_something_changed(site, children, tmp_path):
    package = site / "lacking_pack"
    package.mkdir()
    (package / "__init__.py").write_text("import a_package_that_comes_later\n")
    lacking, cache = PackSource("lacking", "lacking_pack"), tmp_path / "cache"

    for _ in range(2):
        with pytest.raises(PackError, match="a_package_that_comes_later"):
            read_catalog(lacking, cache)
    assert children == ["lacking"]
    (site / "a_package_that_comes_later.py").write_text("")
    with pytest.raises(PackError, match="has no PACK"):
        read_catalog(lacking, cache)
    (package / "__init__.py").write_text("x = 1\n")
    with pytest.raises(PackError, match="has no PACK"):
        read_catalog(lacking, cache)
    assert children == ["lacking"] * 3
