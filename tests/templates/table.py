"""The table of outcomes as a Markdown page."""

from collections.abc import Iterator, Sequence

from tests.templates.trial import Kind, Outcome

_KINDS: dict[Kind, str] = {
    "ran": "made its pictures",
    "family": "needs a family that is not here",
    "node type": "needs a node type that is not here",
    "fault": "failed",
}
_ABOUT = """\
The {number} image templates of `comfyui-workflow-templates-json` {version} that need no paid
service, with the package's own numbers of uses. Each is read, checked and run as it is, with fewer
pixels and steps. Tiny random models of the named files' families and formats bear their names.
Made by `python -m tests.templates`.
"""
_LISTED: tuple[Kind, ...] = ("family", "node type", "fault")


def page(outcomes: Sequence[Outcome], version: str) -> str:
    """Return the page.

    Args:
        outcomes: one for each template.
        version: of the package that they come from.
    """
    return "\n".join(_lines(outcomes, version))


def counted(outcomes: Sequence[Outcome], kind: Kind) -> tuple[int, int]:
    """Return the number of templates with that outcome, and of their uses."""
    uses = [outcome.template.uses for outcome in outcomes if outcome.kind == kind]
    return len(uses), sum(uses)


def _lines(outcomes: Sequence[Outcome], version: str) -> Iterator[str]:
    yield "# Image templates of the editor that run"
    yield ""
    yield _ABOUT.format(number=len(outcomes), version=version)
    yield "| outcome | templates | uses |"
    yield "|---|--:|--:|"
    for kind, meaning in _KINDS.items():
        number, uses = counted(outcomes, kind)
        yield f"| {meaning} | {number} | {uses} |"
    for kind in _LISTED:
        yield from _reasons([each for each in outcomes if each.kind == kind], _KINDS[kind])
    yield ""
    yield "## Each template"
    yield ""
    yield "| template | uses | outcome |"
    yield "|---|--:|---|"
    for each in outcomes:
        told = f"{each.pictures} pictures" if each.kind == "ran" else ", ".join(each.reasons)
        told = "1 picture" if told == "1 pictures" else told
        yield f"| `{each.template.name}` | {each.template.uses} | {_cell(told)} |"
    yield ""


def _reasons(outcomes: Sequence[Outcome], title: str) -> Iterator[str]:
    """Yield a table of what is lacking together, the most templates first."""
    if not outcomes:
        return
    groups: dict[str, list[Outcome]] = {}
    for each in outcomes:
        groups.setdefault(", ".join(each.reasons), []).append(each)
    yield ""
    yield f"## {title[0].upper()}{title[1:]}"
    yield ""
    yield "| reason | templates | uses |"
    yield "|---|--:|--:|"
    for reason, found in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        uses = sum(each.template.uses for each in found)
        yield f"| {_cell(reason)} | {len(found)} | {uses} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
