"""Error texts, docstrings, tables and pages name modules, classes and functions that are there."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

from nodegraph.settings.layers import types_of
from nodegraph.settings.settings import Settings

ROOT = Path(__file__).parents[2]
ROOMS = ("nodegraph", "nodes", "server", "training")
DOTTED = re.compile(rf"(?<![\w./-])(?:{'|'.join(ROOMS)})(?:[.:][A-Za-z_]\w*)+")
PLACE = re.compile(
    rf"(?<![\w./-])(?:{'|'.join([*ROOMS, 'benchmarks', 'docs', 'tests', 'workflows'])})/[\w./*-]*"
)
SPAN_FACTS = """
attempt client model.bytes model.name node.id node.shown_as node.type owner
run.attempts run.cached run.executed run.id run.outcome server worker
"""
"""Attributes of spans, without the `nodegraph.` that all of them begin with."""
NOT_KEPT = {"training/runs": "the trainer makes it"}
"""Places that pages name and the repository has not, and why."""
FILE = re.compile(r"\.(lock|md|pid|py|toml)$")
OTHERS = {
    "nodegraph.verbose": "a key of click's",
    "nodegraph:cpu": "an image of deploy/docker",
    "nodegraph:cuda": "likewise",
    "nodes.LoraLoader": "ComfyUI's class",
    "server.PromptServer": "ComfyUI's class",
    "server.access": "the logger of the access log",
    "server.ray": "a table of settings",
    "server.worker.output": "the logger of what workers print",
    **{f"nodegraph.{name}": "an attribute of spans" for name in SPAN_FACTS.split()},
}
"""Names that look like ours and are not, and whose they are."""
PAGES = [
    *(path for path in sorted(ROOT.glob("*.md")) if path.name != "CHANGELOG.md"),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "pyproject.toml",
]
PAGES_ELSEWHERE = [ROOT / "training/README.md", *sorted((ROOT / "tests").glob("*/README.md"))]


@pytest.mark.parametrize("room", [*ROOMS, "benchmarks"])
def test_names_in_the_strings_of_a_room_exist(room):
    paths = sorted((ROOT / room).rglob("*.py"))

    assert {
        path.name: wrong for path in paths if (wrong := unknown("\n".join(strings(path))))
    } == {}


def test_names_in_pages_exist():
    assert {path.name: wrong for path in PAGES if (wrong := unknown(path.read_text()))} == {}


@pytest.mark.parametrize("path", [*PAGES, *PAGES_ELSEWHERE], ids=lambda path: path.name)
def test_files_and_folders_in_pages_exist(path):
    assert missing(path.read_text()) == []


def test_every_module_on_the_map_exists():
    map_of_rooms = (ROOT / "docs/architecture.md").read_text()
    modules = {path.as_posix() for room in ROOMS for path in (ROOT / room).rglob("*.py")}

    named = set(re.findall(r"[\w/]+\.py", map_of_rooms))

    assert len(named) > 40
    assert [
        name for name in sorted(named) if not any(m.endswith(f"/{name}") for m in modules)
    ] == []


def test_a_file_that_is_not_there_is_found():
    text = "see `nodes/gone.py`, tests/house/, `nodes/models/patches/lora*.py`, /server/gone.py."

    assert missing(text) == ["nodes/gone.py"]


def test_a_name_that_is_not_there_is_found():
    text = (
        "`nodegraph.graph.spec.Pact`, nodegraph.graph.spec:NodeSpec, nodes.gone, `nodegraph.Pack`"
    )

    assert unknown(text) == ["nodegraph.graph.spec.Pact", "nodes.gone"]


def missing(text):
    """The files and folders that a text names and the repository has not."""
    places = {place.rstrip("./") for place in PLACE.findall(text)}
    return sorted(place for place in places - NOT_KEPT.keys() if not any(ROOT.glob(place)))


def strings(path):
    tree = ast.parse(path.read_text())
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def unknown(text):
    """The dotted names in a text that are neither modules, nor in one."""
    names = DOTTED.findall(text)
    known = groups() | types_of(Settings).keys() | OTHERS.keys()
    return sorted(
        {name for name in names if not (name in known or FILE.search(name) or found(name))}
    )


@cache
def groups():
    """The groups of entry points, whose names are dotted, too: those we fill, those others may."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    named = [name for text in texts for name in re.findall(r'^GROUP = "(.+)"$', text, re.MULTILINE)]
    return {*project["entry-points"], *named}


@cache
def found(name):
    place, rest = ROOT, re.split("[.:]", name)
    while rest and ((place / rest[0]).is_dir() or (place / f"{rest[0]}.py").is_file()):
        place /= rest.pop(0)
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return not rest or (file.is_file() and rest[0] in defined(file))


def defined(file):
    """The names that a module defines or imports."""
    tree = ast.parse(file.read_text())
    names = set()
    for node in statements(tree.body):
        match node:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                names.add(name)
            case ast.Assign([ast.Name(name)]) | ast.AnnAssign(ast.Name(name)):
                names.add(name)
            case ast.ImportFrom(names=aliases):
                names |= {alias.asname or alias.name for alias in aliases}
            case _:
                pass
    return names


def statements(body):
    for node in body:
        yield node
        if isinstance(node, ast.If):
            yield from statements(node.body)
