"""The editor's files, as they lie in the packages that `nodegraph[ui]` brings."""

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec
from pathlib import Path

_TEMPLATES = "comfyui-workflow-templates"


@dataclass(frozen=True, slots=True)
class EditorFiles:
    """Folders of files to serve; none where a package is not installed."""

    static: Path | None = None
    """The editor itself: `index.html` and what belongs to it."""
    templates: tuple[Path, ...] = ()
    """Workflows to start from, and pictures of them; the first that has a file wins."""
    docs: Path | None = None
    """Help pages: `KSampler/en.md`."""


def installed() -> EditorFiles:
    """What there is; nothing of the packages is imported."""
    bundles = (_folder(name, "templates") for name in _template_packages())
    return EditorFiles(
        static=_folder("comfyui_frontend_package", "static"),
        templates=tuple(folder for folder in bundles if folder),
        docs=_folder("comfyui_embedded_docs", "docs"),
    )


def _template_packages() -> list[str]:
    """The package of templates and those that it is split into."""
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
