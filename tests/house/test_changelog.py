"""The changelog says each thing once, and knows the version that is released."""

import re
import tomllib
from collections import Counter
from pathlib import Path

from nodes import PACK

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "CHANGELOG.md").read_text().splitlines()
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_no_line_stands_there_twice():
    again = Counter(line for line in LINES if line and not line.startswith("#"))

    assert [line for line, times in again.items() if times > 1] == []


def test_every_entry_ends_with_a_full_stop():
    text = "\n".join(LINES[LINES.index("## Unreleased") :])
    blocks = [block for block in re.split(r"\n\n|\n(?=- )", text) if not block.startswith("#")]

    assert [block for block in blocks if not block.rstrip().endswith(".")] == []


def test_versions_are_dated_newest_first_and_the_latest_is_the_project_s():
    headings = [line for line in LINES if line.startswith("## ")]
    released = [
        re.fullmatch(r"## (\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d", line) for line in headings[1:]
    ]
    versions = [match[1] for match in released if match]

    assert headings[0] == "## Unreleased"
    assert len(versions) == len(released)
    assert versions[0] == VERSION == PACK.version
    assert versions == sorted(versions, key=lambda name: [*map(int, name.split("."))], reverse=True)
