"""The table of attacks names tests that there are."""

import ast
import re
from pathlib import Path

from tests.server.serving import ROOT

TESTS = {
    item.name
    for path in (ROOT / "tests").rglob("test_*.py")
    for item in ast.walk(ast.parse(path.read_text()))
    if isinstance(item, ast.FunctionDef)
}


def rows():
    text = Path(ROOT / "docs/security.md").read_text().partition("## Attacks")[2]
    return [line for line in text.splitlines() if line.startswith("|")][2:]


def test_every_attack_has_tests_and_they_are_there():
    named = {row: re.findall(r"`(test_\w+)`", row.rpartition("|")[0]) for row in rows()}

    assert len(named) > 20
    assert [row for row, tests in named.items() if not tests] == []
    assert {test for tests in named.values() for test in tests} - TESTS == set()
