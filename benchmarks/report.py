"""The figures of one benchmark: printed beside their goals, and written as JSON as they come."""

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from benchmarks.machine import device_kind, machine, versions
from benchmarks.timing import median_ms, percentile_ms

RESULTS = Path(__file__).parent / "results"
"""Figures that are kept in the repository."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number."""

    name: str
    value: float
    unit: str
    goal: str = ""
    """`<= number` or `>= number`; nothing where there is none."""

    @property
    def met(self) -> bool | None:
        """True if the value reaches the goal; None where there is none."""
        if not self.goal:
            return None
        sign, number = self.goal.split()
        return self.value <= float(number) if sign == "<=" else self.value >= float(number)

    def __str__(self) -> str:
        """The figure in a line."""
        told = {None: "", True: f"   goal {self.goal}", False: f"   goal {self.goal}: MISSED"}
        return f"{self.name:58} {self.value:>12,.4g} {self.unit}{told[self.met]}"


class Report:
    """The result file of a benchmark, whole after every figure.

    Args:
        name: of the benchmark.
        options: of its command; `results` is the folder to write to, `note` a remark.
    """

    def __init__(self, name: str, options: Namespace) -> None:
        self._figures: list[Figure] = []
        self._data: dict[str, Any] = {}
        chosen = {key: _plain(value) for key, value in vars(options).items() if key != "results"}
        self._facts: dict[str, Any] = {
            "benchmark": name,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "versions": versions(),
            "note": chosen.pop("note", ""),
            "options": chosen,
        }
        folder: Path = options.results
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}-{device_kind()}.json"

    def add(self, name: str, value: float, unit: str, goal: str = "") -> float:
        """Print and keep a figure; returns its value.

        Args:
            name: of the figure.
            value: rounded to five digits in the file.
            unit: such as `ms`; `x` for a ratio.
            goal: see `Figure`.
        """
        figure = Figure(name, float(f"{value:.5g}"), unit, goal)
        print(figure, flush=True)
        self._figures.append(figure)
        self._write()
        return value

    def add_times(self, name: str, times: Sequence[float], part: float = 0.95) -> float:
        """Print and keep the median and a percentile of seconds; returns the median in ms.

        Args:
            name: of what was timed.
            times: in seconds.
            part: the percentile, 0 to 1.
        """
        self.add(f"{name}, p{part * 100:.0f}", percentile_ms(times, part), "ms")
        return self.add(f"{name}, median", median_ms(times), "ms")

    def keep(self, name: str, data: object) -> None:
        """Keep more than a number, such as the points of a curve, as JSON."""
        self._data[name] = data
        self._write()

    def _write(self) -> None:
        figures = [asdict(figure) | {"met": figure.met} for figure in self._figures]
        text = json.dumps({**self._facts, "figures": figures, "data": self._data}, indent=1)
        self.path.write_text(text + "\n")


def _plain(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[object]", value)]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
