"""Finds the editor's files in the packages that `nodegraph[ui]` installs."""

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec
from pathlib import Path

_TEMPLATES = "comfyui-workflow-templates"


@dataclass(frozen=True, slots=True)
class EditorFiles:
    """The folders of the editor's files; None where a package is not installed."""

    static: Path | None = None
    """The editor itself: `index.html` and its scripts and styles."""
    templates: tuple[Path, ...] = ()
    """Templates of workflows, and images of them; the first folder that has a file is used."""
    docs: Path | None = None
    """Help pages: `KSampler/en.md`."""


def find_editor() -> EditorFiles:
    """Return the folders of the installed packages, without importing these."""
    bundles = (_folder(name, "templates") for name in _template_packages())
    return EditorFiles(
        static=_folder("comfyui_frontend_package", "static"),
        templates=tuple(folder for folder in bundles if folder),
        docs=_folder("comfyui_embedded_docs", "docs"),
    )


def _template_packages() -> list[str]:
    """Return the names of the package of templates and of those that it is split into."""
    try:
        needed = requires(_TEMPLATES) or []
    except PackageNotFoundError:
        return []
    names = [_TEMPLATES, *(re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in needed)]
    return list(dict.fromkeys(name.replace("-", "_") for name in names))


def _folder(package: str, below: str) -> Path | None:
    spec = find_spec(package)
    places = (spec.submodule_search_locations if spec else None) or ()
    return next((Path(place, below) for place in places if Path(place, below).is_dir()), None)
