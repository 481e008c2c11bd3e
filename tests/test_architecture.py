"""The house rules that a linter cannot see."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("nodegraph", "nodes", "server", "training")
SOURCES = [
    path
    for room in ROOMS
    for path in sorted((ROOT / room).rglob("*.py"))
    if ROOT / "training/runs" not in path.parents
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_is_short_and_says_what_it_holds(path):
    text = path.read_text()

    assert len(text.splitlines()) <= 300
    assert ast.get_docstring(ast.parse(text)), "start with one sentence on what this file holds"


def test_no_file_has_a_name_that_says_nothing():
    empty_names = {"utils.py", "helpers.py", "common.py", "manager.py"}

    assert not [path for path in SOURCES if path.name in empty_names]
