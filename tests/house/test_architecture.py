"""The house rules that a linter cannot see: rooms, file sizes, names and the voice of docstrings."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("nodegraph", "nodes", "server")
SOURCES = [
    path
    for package in (*PACKAGES, "training")
    for path in sorted((ROOT / package).rglob("*.py"))
    if ROOT / "training/runs" not in path.parents
]
HOUSE = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in PACKAGES]
ROOMS = sorted({path.parent for path in HOUSE})

SHORT_KINDS = ("__init__.py", "__main__.py", "errors.py")
"""Files that may be short wherever they are: what a room holds, how it starts, what it refuses."""

SHORT_FOLDERS = ("nodes/comfy/host",)
"""One file stands in for one module of ComfyUI, however little of it packs import."""

SHORT_FILES: dict[str, str] = {}
"""Other files below forty lines, and why each is a file of its own."""

SMALL_ROOMS: dict[str, str] = {}
"""Rooms of fewer than five files, and why each is a room of its own."""

def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for found in ast.walk(tree(path)):
        if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
            yield found


def test_the_house_is_found():
    assert len(HOUSE) > 300
    assert ROOT / "nodes/builtin" in ROOMS


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_file_is_short_and_says_what_it_holds(path):
    assert len(path.read_text().splitlines()) <= 400
    assert ast.get_docstring(tree(path)), "start with one sentence on what this file holds"


def test_a_file_below_forty_lines_has_a_reason():
    short = {
        named(path)
        for path in HOUSE
        if len(path.read_text().splitlines()) < 40
        and path.name not in SHORT_KINDS
        and not named(path).startswith(SHORT_FOLDERS)
    }

    assert short == set(SHORT_FILES)


@pytest.mark.parametrize("room", ROOMS, ids=named)
def test_room_can_be_taken_in_at_a_glance(room):
    files = [path for path in room.glob("*.py") if path.name not in ("__init__.py", "__main__.py")]
    rooms = [path for path in room.iterdir() if path in ROOMS]

    assert (room / "__init__.py").exists()
    assert len(files) + len(rooms) <= 14
    if named(room) not in SMALL_ROOMS:
        assert len(files) + len(rooms) + 1 >= 5


def test_no_file_has_a_name_that_says_nothing():
    empty_names = {"utils.py", "helpers.py", "common.py", "manager.py"}

    assert not [path for path in SOURCES if path.name in empty_names]


def test_docstrings_say_what_a_thing_is_or_does():
    indirect = re.compile(r"(What|How|Whether|Which)\b")
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

    found = [
        f"{named(path)}: {docstring.splitlines()[0]}"
        for path in SOURCES
        for part in ast.walk(tree(path))
        if isinstance(part, documented) and (docstring := ast.get_docstring(part))
        if indirect.match(docstring)
    ]

    assert found == []


IRREGULAR = set(
    "begun bound broken brought built caught chosen done drawn driven fallen fed felt forgotten "
    "found frozen given gone grown held hidden kept known laid led left lent lost made meant met "
    "overwritten paid rewritten said seen sent shaken shown sold spent split spoken stuck sunk "
    "taken taught thought thrown told torn understood undone unknown unread unseen won worn "
    "written wound wrapped".split()
) - {"split"}
"""Past participles that do not end in -ed; `split` and the like are verbs, too."""

NOT_PARTICIPLES = {"embed", "feed", "need", "proceed", "seed", "shed", "speed"}


def is_participle(name: str) -> bool:
    word = name.strip("_")
    if "_" in word or word in NOT_PARTICIPLES:
        return False
    return word in IRREGULAR or word.endswith("ed")


@pytest.mark.parametrize("name", ["told", "_shown", "opened"])
def test_a_lone_participle_is_seen(name):
    assert is_participle(name)


def test_functions_are_verbs_or_nouns():
    found = [
        f"{named(path)}: {function.name}"
        for path in HOUSE
        for function in functions(path)
        if is_participle(function.name)
    ]

    assert found == []
