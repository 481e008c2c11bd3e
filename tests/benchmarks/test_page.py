"""The page of figures names every benchmark, and its figures are those of the results."""

import re
from xml.etree import ElementTree

import pytest

from benchmarks.catalog import PLACES, benchmark, summary
from benchmarks.charts import bars
from benchmarks.page import END, PAGE, RESULTS, START, figures, plots, results


def test_the_page_names_every_benchmark():
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)

    assert listed == list(PLACES)


@pytest.mark.parametrize("name", PLACES)
def test_a_benchmark_has_its_functions_and_a_summary(name):
    found = benchmark(name)

    assert callable(found.add_options)
    assert callable(found.measure)
    assert summary(name).endswith(".")


def test_the_figures_are_those_of_the_results():
    section = PAGE.read_text().partition(START)[2].partition(END)[0]

    assert section.strip() == figures(results()).strip(), "run python -m benchmarks.page"


def test_the_plots_are_those_of_the_results():
    for name, drawing in plots(results()).items():
        assert (RESULTS / f"{name}.svg").read_text() == drawing, "run python -m benchmarks.page"


def test_a_chart_has_a_bar_and_a_number_for_each_value():
    drawing = bars("A < B", "ms", {"short": {"ours": 1.0, "theirs": 4.0}, "long": {"ours": 2.0}})

    root = ElementTree.fromstring(drawing)
    shapes = [found for found in root if found.tag.endswith("rect") and found.get("x") == "300"]
    texts = [found.text for found in root if found.tag.endswith("text")]
    assert [float(shape.get("width") or 0) for shape in shapes] == [130.0, 520.0, 260.0]
    assert {"A < B", "ours", "theirs", "1 ms", "4 ms", "2 ms"} <= set(texts)
