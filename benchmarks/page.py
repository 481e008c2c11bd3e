"""The figures and plots of `docs/performance.md`, made from the results that are kept.

Run as `python -m benchmarks.page` after a benchmark: it writes what is between the two markers of
the page, and the plots beside the results.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.catalog import PLACES
from benchmarks.charts import bars
from benchmarks.report import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
START, END = "<!-- figures: python -m benchmarks.page -->", "<!-- end of figures -->"
Result: TypeAlias = Mapping[str, Any]
Rows: TypeAlias = dict[str, dict[str, float]]


def results() -> dict[str, Result]:
    """Return the results that are kept, by their files' names, in the order of the catalog."""
    order = list(PLACES)
    files = [path for path in RESULTS.glob("*.json") if path.stem.rpartition("-")[0]]
    found = {path.stem: json.loads(path.read_text()) for path in files}
    return dict(
        sorted(found.items(), key=lambda item: (order.index(item[1]["benchmark"]), item[0]))
    )


def figures(found: Mapping[str, Result]) -> str:
    """Return the section of the page: a table of each result, with its plot if it has one."""
    return "\n".join(line for name, result in found.items() for line in _section(name, result))


def plots(found: Mapping[str, Result]) -> dict[str, str]:
    """Return the plots as SVG, by the name of their result."""
    drawn: dict[str, str] = {}
    for name, result in found.items():
        if result["benchmark"] in _PLOTS:
            title, unit, rows_of = _PLOTS[result["benchmark"]]
            drawn[name] = bars(title, unit, rows_of(result))
    return drawn


def with_figures(page: str, section: str) -> str:
    """Return the page with another section between its markers."""
    before, _, rest = page.partition(START)
    return f"{before}{START}\n\n{section}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Write the section and the plots."""
    found = results()
    for name, drawing in plots(found).items():
        (RESULTS / f"{name}.svg").write_text(drawing)
    PAGE.write_text(with_figures(PAGE.read_text(), figures(found)))


def _section(name: str, result: Result) -> Iterator[str]:
    machine, versions = result["machine"], result["versions"]
    device = machine["gpu"]["name"] if machine["gpu"] else f"{machine['cores']} cores"
    yield f"### {result['benchmark']}: {device}"
    yield ""
    facts = [result["date"][:10], f"{machine['cpu']}, {machine['cores']} cores"]
    facts += [f"load {machine['load'][0]} at the start", f"commit {versions['nodegraph']}"]
    facts += [f"torch {versions['torch']}", f"Python {versions['python']}", result["note"]]
    yield f"{'; '.join(fact for fact in facts if fact)}."
    yield ""
    yield "| figure | value | goal |"
    yield "|---|---|---|"
    for figure in result["figures"]:
        goal = figure["goal"].replace("<=", "≤").replace(">=", "≥")
        goal += {True: ", met", False: ", **missed**", None: ""}[figure["met"]]
        unit = "times" if figure["unit"] == "x" else figure["unit"]
        yield f"| {figure['name']} | {figure['value']:,.4g} {unit} | {goal} |"
    yield ""
    if (RESULTS / f"{name}.svg").exists() or result["benchmark"] in _PLOTS:
        yield f"![{result['benchmark']}](../benchmarks/results/{name}.svg)"
        yield ""


def _chains(result: Result) -> Rows:
    rows: Rows = {}
    for figure in result["figures"]:
        what, _, who = figure["name"].rpartition(": ")
        if figure["unit"] == "ms/prompt":
            rows.setdefault(what.removeprefix("HTTP, "), {})[who] = figure["value"]
    return rows


_PLOTS: Mapping[str, tuple[str, str, Callable[[Result], Rows]]] = {
    "exec_overhead": ("A prompt of nodes that do nothing, over HTTP", "ms", _chains),
}


if __name__ == "__main__":
    main()
