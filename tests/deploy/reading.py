"""Reads the files of `deploy/`, for the tests of them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCS = ROOT / "docs/deploy"
LOCKS = DEPLOY / "docker/requirements"
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", re.MULTILINE)


def files_of(*endings: str) -> list[Path]:
    """Return the files of deploy/ with one of these endings; all if none is given."""
    found = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
    return [path for path in found if not endings or path.name.endswith(endings)]


def pages() -> list[Path]:
    """Return the pages of docs/deploy/."""
    return sorted(DOCS.glob("*.md"))


def pins(path: Path) -> dict[str, str]:
    """Return the versions that a lock file or constraints.txt pins, by the name of the package."""
    return {normal(name): version for name, version in _PIN.findall(path.read_text())}


def normal(name: str) -> str:
    """Return the name of a package as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
