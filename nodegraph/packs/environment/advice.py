"""Advice on a pack's missing Python packages: which they are, and the pip commands for them."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nodegraph.errors import PackError, short_repr
from nodegraph.packs.environment.failures import Failure
from nodegraph.packs.environment.pip_names import canonical, pip_name, replacements
from nodegraph.packs.environment.requirements import (
    Unmet,
    pip_lines,
    read_requirements,
    unmet_requirements,
    versions_for,
)

_MOST_PRINTED = 4000
_READ = "The pack's own page says where they come from."
_MEND = "Mend, update or remove it."


@dataclass(frozen=True, slots=True)
class Advice:
    """The packages that a pack lacks, and the way to install them."""

    modules: Mapping[str, str]
    """Modules that it imports in vain, each with the line that does so."""
    unmet: Sequence[Unmet]
    """Requirements that it names and that are not met."""
    commands: Sequence[str]
    own: bool = False
    """True if the packages are those of an environment of its own."""

    def lines(self) -> list[str]:
        """Return the advice as lines of text; none if nothing is wrong."""
        told: list[str] = []
        if self.modules:
            told.append(f"went on without: {', '.join(_label(name) for name in self.modules)}")
        missing = [each.wanted for each in self.unmet if not each.installed]
        if missing:
            told.append(f"its {self._files()} names, not installed: {', '.join(missing)}")
        told += [f"to install: {command}" for command in self.commands]
        other = [each for each in self.unmet if each.installed]
        if other:
            hint = "if it fails for that, give it an environment of its own (packs.toml)"
            wanted = f"its {self._files()} wants {', '.join(str(each) for each in other)}"
            told.append(wanted if self.own else f"{wanted}; {hint}")
        return told

    def _files(self) -> str:
        return " and ".join(dict.fromkeys(each.file.name for each in self.unmet))

    def as_dict(self) -> dict[str, object]:
        """Return the advice as JSON."""
        return {
            "missing_modules": [
                {"module": module, "package": pip_name(module) or None, "imported_at": place}
                for module, place in self.modules.items()
            ],
            "unmet_requirements": [
                {
                    "requirement": each.wanted,
                    "installed": each.installed or None,
                    "file": str(each.file),
                }
                for each in self.unmet
            ],
            "install": list(self.commands),
        }


def advice_for(
    folder: Path | None,
    modules: Mapping[str, str],
    versions: Mapping[str, str],
    python: str = "",
) -> Advice:
    """Return the packages that a pack lacks.

    Args:
        folder: the pack's, where its requirements are named; None if it is a single file.
        modules: those that it imports in vain.
        versions: the packages that are installed in its environment.
        python: the program of that environment; that of this process if empty.
    """
    unmet = unmet_requirements(folder, versions) if folder else []
    named = {
        canonical(each.requirement.name): str(each.requirement).partition(";")[0].strip()
        for each in (read_requirements(folder) if folder else [])
    }
    lines = [line for module in modules if (line := _requirement_for(module, named))]
    lines += [each.wanted for each in unmet if python or not each.installed]
    commands = pip_lines(python or sys.executable, lines, versions.get("torch", ""))
    return Advice(modules, unmet, commands, own=bool(python))


def left_out(
    name: str, failure: Failure, folder: Path | None, printed: str, python: str = ""
) -> PackError:
    """Return the error of a pack that could not be loaded: the cause, and what would work.

    Args:
        name: the pack's.
        failure: as the process that tried it reports it.
        folder: the pack's; None if it is a single file.
        printed: what it printed meanwhile.
        python: the program of its own environment; that of this process if empty.
    """
    said = printed[-_MOST_PRINTED:]
    reason = failure.reason if failure.reason[-1:] in ".!?" else f"{failure.reason}."
    parts = [f"the pack {name!r} cannot be loaded: {reason}"] if reason else []
    details: dict[str, object] = {"printed": said} if said else {}
    if failure.missing:
        advice = advice_for(folder, failure.missing, versions_for(python), python)
        parts += _shortage(name, advice, alone=not parts)
        hint = f"Install them: {' && '.join(advice.commands)}" if advice.commands else _READ
        details |= advice.as_dict()
    else:
        parts += [f"It printed: {short_repr(said.splitlines()[-1])}."] if said else []
        hint = _MEND
    return PackError(" ".join(parts), hint=hint, details=details)


def _shortage(name: str, advice: Advice, *, alone: bool) -> list[str]:
    """Return the sentences that name the missing packages."""
    modules = ", ".join(_label(module) for module in advice.modules)
    place = next(iter(advice.modules.values()))
    what = f"the pack {name!r}" if alone else "It"
    parts = [f"{what} imports Python packages that are not installed: {modules} ({place})."]
    known = {canonical(pip_name(module) or module) for module in advice.modules}
    more = [
        each
        for each in advice.unmet
        if not each.installed and known.isdisjoint(replacements(each.name))
    ]
    if more:
        names = ", ".join(each.name for each in more)
        parts.append(f"Its {more[0].file.name} names, besides: {names}.")
    return parts


def _label(module: str) -> str:
    """Return a module's name, with that of its package where it is another one."""
    package = pip_name(module) or module
    return module if canonical(package) == canonical(module) else f"{module} ({package})"


def _requirement_for(module: str, named: Mapping[str, str]) -> str:
    """Return the requirement that brings a module, as the pack names it; empty if unknown."""
    package = pip_name(module) or module
    own = next((named[each] for each in replacements(package) if each in named), "")
    return own or pip_name(module)
