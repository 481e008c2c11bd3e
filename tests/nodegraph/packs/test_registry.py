"""Packs are found, described and imported; a broken one is somebody else's problem."""

import sys

import pytest

from nodegraph.definition.node import node
from nodegraph.errors import NodeConflictError, PackError, UnknownNodeTypeError
from nodegraph.packs.installed import pack_sources, packs_in
from nodegraph.packs.registry import Registry
from tests.nodegraph.install_pack import NODE, install


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on `sys.path` to install packs in."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0].endswith("_pack")]:
        del sys.modules[name]


@node("Toy", category="test")
def toy(x: int = 1) -> int:
    """Hand x on."""
    return x


def test_knows_a_pack_without_importing_it(site, tmp_path):
    install(site, "demo", nodes=["Demo"])
    registry = Registry.load(["demo"], tmp_path)

    assert list(registry.catalog) == ["Demo"]
    assert registry.spec("Demo").description == "Hand x on."
    assert not [name for name in sys.modules if name.startswith("demo_pack")]


def test_imports_just_the_module_that_a_type_lives_in(site, tmp_path):
    install(site, "demo", nodes=["First", "Second"])
    registry = Registry.load(["demo"], tmp_path)

    assert registry.find("Second").function(7) == 7
    assert "demo_pack.module1" in sys.modules
    assert "demo_pack.module0" not in sys.modules
    assert registry.find("Second") is registry.find("Second")


def test_a_broken_pack_is_left_out_and_reported(site, tmp_path):
    install(site, "good", nodes=["Good"])
    install(site, "bad", init="import a_module_that_is_not_there")
    install(site, "worse", init="import os; os._exit(3)")
    registry = Registry.load(["bad", "worse", "good"], tmp_path)

    assert list(registry.catalog) == ["Good"]
    assert [problem.code for problem in registry.problems] == ["broken_pack"] * 2
    assert "a_module_that_is_not_there" in str(registry.problems[0])


def test_a_module_that_is_no_pack_is_reported(site, tmp_path):
    install(site, "empty", init="PACK = 'no pack'")

    assert "PACK" in str(Registry.load(["empty"], tmp_path).problems[0])


def test_two_packs_with_one_node_type_are_a_conflict(site, tmp_path):
    install(site, "first", nodes=["Same"])
    install(site, "second", nodes=["Own", "Same"])

    registry = Registry.load(["first", "second"], tmp_path)

    assert registry.types_of("first") == ["Same"]
    assert registry.types_of("second") == ["Own"]
    assert registry.spec("Same").module == "first_pack.module0"
    assert registry.find("Own").spec.module == "second_pack.module0"
    assert registry.find("Same").spec.module == "first_pack.module0"
    assert "the pack 'first' and the pack 'second' declare" in str(registry.problems[0])


@pytest.mark.parametrize("order", [("demo", "first"), ("first", "demo")])
def test_a_type_that_gives_way_does_so_without_a_word(site, tmp_path, order):
    package = install(site, "demo", nodes=["Own", "Same"])
    file = package / "module1.py"
    file.write_text(file.read_text().replace('"test"', '"test", gives_way=True'))
    install(site, "first", nodes=["Same"])

    registry = Registry.load(order, tmp_path)

    assert registry.problems == []
    assert registry.types_of("demo") == ["Own"]
    assert registry.types_of("first") == ["Same"]
    assert registry.find("Same").spec.module == "first_pack.module0"


def test_a_type_that_gives_way_stays_where_the_other_pack_is_broken(site, tmp_path):
    package = install(site, "demo", nodes=["Same"])
    file = package / "module0.py"
    file.write_text(file.read_text().replace('"test"', '"test", gives_way=True'))
    install(site, "zero", init="1 / 0")

    registry = Registry.load(["demo", "zero"], tmp_path)

    assert registry.find("Same").spec.module == "demo_pack.module0"


def test_two_functions_with_one_node_type_are_a_conflict(site, tmp_path):
    install(site, "twice", nodes=["Same", "Same"])

    problem = str(Registry.load(["twice"], tmp_path).problems[0])

    assert "both twice_pack.module0 and twice_pack.module1 declare a node type 'Same'" in problem


def test_a_module_that_uses_another_s_node_does_not_declare_it(site, tmp_path):
    package = install(site, "demo", nodes=["Demo", "Other"])
    with (package / "module1.py").open("a") as file:
        file.write("from demo_pack.module0 import declared as demo\n")
    registry = Registry.load(["demo"], tmp_path)

    assert list(registry.catalog) == ["Demo", "Other"]
    assert registry.problems == []


def test_names_the_nearest_type_and_the_nearest_pack(site, tmp_path):
    install(site, "demo", nodes=["EmptyLatent"])

    with pytest.raises(UnknownNodeTypeError, match="Did you mean 'EmptyLatent'"):
        Registry.load(["demo"], tmp_path).spec("EmtyLatent")
    with pytest.raises(PackError, match="Did you mean 'demo'"):
        Registry.load(["dmo"], tmp_path)


def test_says_when_a_module_breaks_on_import(site, tmp_path):
    package = install(site, "demo", nodes=["Demo"])
    registry = Registry.load(["demo"], tmp_path)
    (package / "module0.py").write_text("1 / 0")

    with pytest.raises(PackError, match="ZeroDivisionError"):
        registry.find("Demo")


def test_says_when_the_files_have_changed_since(site, tmp_path):
    package = install(site, "demo", nodes=["Demo"])
    registry = Registry.load(["demo"], tmp_path)
    (package / "module0.py").write_text("")

    with pytest.raises(PackError, match="no longer has"):
        registry.find("Demo")


def test_resolves_a_preflight_reference(site, tmp_path):
    install(site, "demo", checks="def check(inputs, files): return 'checked'")
    registry = Registry.load(["demo"], tmp_path)

    assert registry.resolve("demo_pack.checks:check")(None, None) == "checked"
    with pytest.raises(PackError, match="no function"):
        registry.resolve("demo_pack.checks:chek")
    with pytest.raises(PackError, match="ModuleNotFoundError"):
        registry.resolve("demo_pack.chekcs:check")


def test_knows_the_model_files_that_a_pack_brings_along(site, tmp_path):
    package = install(site, "demo")

    assert Registry.load(["demo"], tmp_path).model_places == {"loras": (package / "assets",)}


def test_a_folder_holds_packs_that_are_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())
    folder = tmp_path / "packs"
    package = install(tmp_path / "made", "placed", nodes=["Placed"])
    folder.mkdir()
    package.rename(folder / "placed_pack")
    (folder / "no-name").mkdir()
    (folder / "empty").mkdir()
    (folder / ".hidden").mkdir()

    registry = Registry.load(["placed_pack"], tmp_path, folder)

    assert registry.find("Placed")(x=3) == 3
    assert [str(problem).partition(str(folder))[2] for problem in registry.problems] == [
        "/empty has no __init__.py. A pack has one; `nodegraph new-pack` makes such a folder.",
        "/no-name has a name that Python can not import. Rename it, for example to 'no_name'.",
    ]


def test_refuses_another_distribution_s_nodes(site, tmp_path):
    (site / "nodes.py").touch()
    (site / "other-1.0.dist-info").mkdir()
    text = "[nodegraph.packs]\nnodes = nodes\n"
    (site / "other-1.0.dist-info/entry_points.txt").write_text(text)
    loaded = {name: sys.modules.pop(name) for name in list(sys.modules) if name == "nodes"}
    try:
        with pytest.raises(
            PackError, match=r"another module called 'nodes'.*rename it.*pip uninstall nodes"
        ):
            Registry.load(["nodes"], tmp_path)
    finally:
        sys.modules.update(loaded)


def test_holds_given_types_for_tests_and_small_programs():
    registry = Registry.from_types(toy)

    assert registry.find("Toy") is toy
    assert registry.catalog == {"Toy": toy.spec}
    with pytest.raises(NodeConflictError):
        Registry.from_types(toy, toy)


def test_the_built_in_pack_comes_first(site, tmp_path, monkeypatch):
    install(site, "aaa", nodes=["Aaa"])
    names = [source.name for source in pack_sources()[0]]

    assert names[:2] == ["nodes", "aaa"]


def test_refresh_reads_what_changed_and_keeps_the_rest(site, tmp_path):
    package = install(site, "demo", nodes=["First", "Second"])
    install(site, "other", nodes=["Other"])
    registry = Registry.load(["demo", "other"], tmp_path)
    first, second, other = (registry.find(name) for name in ("First", "Second", "Other"))
    assert registry.refresh() == []
    assert registry.find("First") is first

    text = (package / "module0.py").read_text()
    (package / "module0.py").write_text(text.replace("return x", "return x + 1"))

    assert registry.refresh() == ["demo"]
    assert registry.find("First")(x=1) == 2
    assert first(x=1) == 1
    assert registry.find("First").spec.revision != first.spec.revision
    assert registry.find("Second").spec.revision == second.spec.revision
    assert registry.find("Other") is other


def test_a_pack_that_comes_and_goes_leaves_the_others_as_they_were(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())
    folder = tmp_path / "packs"
    mine = install(tmp_path / "a", "mine", nodes=["Same", "Mine"])
    other = install(tmp_path / "b", "another", nodes=["Same"])
    folder.mkdir()
    mine.rename(folder / "mine_pack")
    registry = Registry.load(None, tmp_path / "cache", folder)
    before = registry.find("Same")

    other.rename(folder / "another_pack")
    assert registry.refresh() == ["another_pack"]
    assert registry.find("Same").spec.module == "another_pack.module0"
    assert registry.find("Mine").spec.module == "mine_pack.module1"

    (folder / "another_pack").rename(other)
    assert registry.refresh() == ["another_pack"]
    assert registry.find("Same").spec == before.spec


def test_a_folder_with_the_name_of_another_module_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())
    for name in ("json", "nodes", "fine_pack"):
        (tmp_path / "packs" / name).mkdir(parents=True)
        (tmp_path / "packs" / name / "__init__.py").touch()

    sources, problems = packs_in(tmp_path / "packs")

    assert [source.name for source in sources] == ["fine_pack"]
    assert [problem.message.partition("folder ")[2].split()[0] for problem in problems] == [
        str(tmp_path / "packs" / "json"),
        str(tmp_path / "packs" / "nodes"),
    ]
    assert "json/__init__.py" in str(problems[0])


def test_refresh_finds_what_is_new_and_what_broke(site, tmp_path):
    package = install(site, "demo", nodes=["Demo"])
    registry = Registry.load(["demo"], tmp_path)
    (package / "module0.py").write_text("1 / 0")

    assert registry.refresh() == ["demo"]
    assert list(registry.catalog) == []
    assert "ZeroDivisionError" in str(registry.problems[0])

    (package / "module0.py").write_text(NODE.format(name="Anew"))
    assert registry.refresh() == ["demo"]
    assert list(registry.catalog) == ["Anew"]


def test_a_change_of_what_they_share_changes_every_module_s_revision(site, tmp_path):
    package = install(site, "demo", nodes=["First", "Second"], shared="A = 1")
    before = Registry.load(["demo"], tmp_path).catalog
    (package / "shared.py").write_text("A = 2")
    after = Registry.load(["demo"], tmp_path).catalog

    assert all(before[name].revision != after[name].revision for name in ("First", "Second"))
