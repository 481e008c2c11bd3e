"""The editor's templates, as the index of their packages on PyPI lists them.

A template is free if it needs no paid service: the index says so of most, and of the others it does
not say that they do.
"""

import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

INDEX = "index.json"
PACKAGE = "comfyui-workflow-templates-json"


@dataclass(frozen=True, slots=True)
class Template:
    """A workflow in the editor's format."""

    name: str
    uses: int
    """The index's own number of them."""
    path: Path


def folder_of_templates(folder: Path | None = None) -> Path:
    """Return the folder with the index: at or below one, or of the installed package if None.

    Raises:
        FileNotFoundError: there is none.
    """
    found = sorted(folder.rglob(INDEX)) if folder else _installed()
    if not found:
        message = f"{folder or PACKAGE} has no {INDEX}: unpack or install {PACKAGE} of PyPI."
        raise FileNotFoundError(message)
    return found[0].parent


def _installed() -> list[Path]:
    try:
        files = distribution(PACKAGE).files or []
    except PackageNotFoundError:
        return []
    return [Path(str(file.locate())) for file in files if file.name == INDEX]


def free_image_templates(folder: Path) -> list[Template]:
    """Return those for images that are free, each once, the most used first.

    Args:
        folder: has the index and the templates.
    """
    groups = json.loads((folder / INDEX).read_text())
    found = {
        entry["name"]: Template(
            entry["name"], entry.get("usage", 0), folder / f"{entry['name']}.json"
        )
        for group in groups
        if group["type"] == "image"
        for entry in group["templates"]
        if entry.get("openSource") is not False
    }
    return sorted(found.values(), key=lambda template: (-template.uses, template.name))
