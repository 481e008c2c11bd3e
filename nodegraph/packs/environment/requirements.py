"""The Python packages that a pack's requirements.txt and pyproject.toml name."""

import logging
import os
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, cast

from packaging.requirements import InvalidRequirement, Requirement

from nodegraph.packs.environment.pip_names import FIT_TORCH, canonical, replacements

REQUIREMENTS, PROJECT = "requirements.txt", "pyproject.toml"
_log = logging.getLogger(__name__)
_PATIENCE = 30.0
"""The most seconds that a Python program may take to say where it imports from."""
_LARGEST = 2**18
"""The most bytes of such a file that are read."""


@dataclass(frozen=True, slots=True)
class Named:
    """A requirement, and the file that names it."""

    requirement: Requirement
    file: Path


@dataclass(frozen=True, slots=True)
class Unmet:
    """A requirement that the installed packages do not meet."""

    name: str
    wanted: str
    """The requirement as pip takes it, without its marker: `kornia>=0.7`."""
    installed: str
    """The version that is installed; empty if there is none."""
    file: Path

    def __str__(self) -> str:
        return f"{self.wanted} ({self.installed} is installed)" if self.installed else self.wanted


def unmet_requirements(folder: Path, versions: Mapping[str, str]) -> list[Unmet]:
    """Return what a pack names that is missing, or installed in a version that it excludes.

    Args:
        folder: the pack's.
        versions: the installed packages; see `installed_versions`.
    """
    found = (_unmet(each, versions) for each in read_requirements(folder))
    return [each for each in found if each]


def read_requirements(folder: Path) -> list[Named]:
    """Return the requirements that a pack's folder names for this machine, each name once.

    Lines that name no package of an index (options, addresses) are passed over.
    """
    seen: dict[str, Named] = {}
    for each in (*_in_text(folder / REQUIREMENTS, {folder}), *_in_project(folder / PROJECT)):
        marker = each.requirement.marker
        if each.requirement.url is None and (marker is None or marker.evaluate()):
            seen.setdefault(canonical(each.requirement.name), each)
    return list(seen.values())


def installed_versions(paths: Iterable[str] | None = None) -> dict[str, str]:
    """Return the versions of the installed packages by canonical name.

    Args:
        paths: the folders that they lie in; those of `sys.path` if None. The first one counts.
    """
    found: Iterable[Distribution] = (
        distributions() if paths is None else distributions(path=list(paths))
    )
    versions: dict[str, str] = {}
    for each in found:
        facts = cast("Any", each.metadata)  # None where a package was removed by half
        name = facts["Name"] if facts else None
        if name:
            versions.setdefault(canonical(str(name)), str(facts["Version"] or "0"))
    return versions


def versions_for(python: str) -> dict[str, str]:
    """Return the versions of the packages that a pack finds.

    Args:
        python: the program of its own environment, whose packages come before those of this
            process; empty if it has none.
    """
    if not python:
        return installed_versions()
    return installed_versions([*_paths_of(python), *sys.path])


def _paths_of(python: str) -> list[str]:
    """Return the folders that a Python program imports from; none if it does not say."""
    ask = [python, "-c", "import sys; print(*sys.path[1:], sep='\\n')"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        told = subprocess.run(
            ask, env=kept, capture_output=True, text=True, timeout=_PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        _log.warning("the packages of %s are not known: %s", python, error)
        return []
    return told.stdout.splitlines()


def _in_text(file: Path, seen: set[Path]) -> Iterator[Named]:
    """Yield the lines of a requirements file, and of those that it includes from its folder."""
    if file in seen:
        return
    seen.add(file)
    lines = _text(file).replace("\\\n", " ").splitlines()
    for line in (each.partition(" #")[0].strip() for each in lines):
        if line.startswith(("-r ", "--requirement ")):
            other = (file.parent / line.split(maxsplit=1)[1]).resolve()
            if other.is_relative_to(file.parent.resolve()):
                yield from _in_text(other, seen)
        elif line and line[0] not in "#-":
            yield from _parse(line.partition(" --")[0], file)


def _in_project(file: Path) -> Iterator[Named]:
    try:
        project: Any = tomllib.loads(_text(file)).get("project", {})
        lines: object = project.get("dependencies", [])
    except (tomllib.TOMLDecodeError, AttributeError):
        return
    for line in cast("list[object]", lines) if isinstance(lines, list) else []:
        if isinstance(line, str):
            yield from _parse(line, file)


def _parse(line: str, file: Path) -> Iterator[Named]:
    try:
        yield Named(Requirement(line), file)
    except InvalidRequirement:  # an address, an option, or a slip of the pack's author
        return


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST)
    except OSError:
        return ""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return data.decode(encoding, errors="replace").replace("\r\n", "\n")


def _unmet(named: Named, versions: Mapping[str, str]) -> Unmet | None:
    wanted = named.requirement
    installed = next((versions[n] for n in replacements(wanted.name) if n in versions), "")
    if installed and wanted.specifier.contains(installed, prereleases=True):
        return None
    extras = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
    return Unmet(wanted.name, f"{wanted.name}{extras}{wanted.specifier}", installed, named.file)


def pip_lines(python: str, wanted: Iterable[str], torch: str) -> list[str]:
    """Return the commands that install packages; those that must fit torch come from where it does.

    Args:
        python: the program of the environment.
        wanted: the requirements.
        torch: the version of torch there, as `2.13.0+cpu`; empty if it is not known.
    """
    every = list(dict.fromkeys(wanted))
    names = {line: canonical(Requirement(line).name) for line in every}
    fitting = [line for line in every if names[line] in FIT_TORCH]
    plain = [line for line in every if line not in fitting]
    install = [python, "-m", "pip", "install"]
    lines = [shlex.join([*install, *plain])] if plain else []
    if fitting:
        build = torch.partition("+")[2]
        index = ["--index-url", f"https://download.pytorch.org/whl/{build}"] if build else []
        lines.append(shlex.join([*install, *fitting, *index]))
    return lines
