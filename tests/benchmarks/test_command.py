"""The command `python -m benchmarks`: its list, and the file that a benchmark leaves."""

import json
from argparse import Namespace

import pytest

from benchmarks.__main__ import main
from benchmarks.catalog import PLACES
from benchmarks.cpu import cached_rerun
from benchmarks.report import Figure, Report
from tests.server.serving import serving


def test_the_list_has_every_name(capsys):
    main(["--list"])

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(PLACES)


def test_an_unknown_name_is_refused_with_those_there_are(capsys):
    with pytest.raises(SystemExit):
        main(["exec_overhed"])

    assert "exec_overhead" in capsys.readouterr().err


def test_a_report_is_whole_after_every_figure(tmp_path, capsys):
    report = Report("load", Namespace(results=tmp_path, note="a quiet machine", rounds=3))
    report.add("fast", 0.123456, "s", "<= 0.1")
    first = json.loads(report.path.read_text())
    report.add("ratio", 3, "x", ">= 2")
    report.keep("points", [1, 2])

    found = json.loads(report.path.read_text())
    assert [figure["name"] for figure in first["figures"]] == ["fast"]
    assert [figure["met"] for figure in found["figures"]] == [False, True]
    assert found["figures"][0]["value"] == 0.12346
    assert (found["note"], found["options"]) == ("a quiet machine", {"rounds": 3})
    assert found["data"] == {"points": [1, 2]}
    assert {"cpu", "cores", "gpu", "load"} <= found["machine"].keys()
    assert {"python", "torch", "nodegraph"} <= found["versions"].keys()
    assert "MISSED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "goal", "met"),
    [
        (1, "<= 1", True),
        (1.1, "<= 1", False),
        (2, ">= 2", True),
        (1.9, ">= 2", False),
        (1, "", None),
    ],
)
def test_a_goal_is_met(value, goal, met):
    assert Figure("any", value, "x", goal).met is met


@pytest.mark.slow  # two servers start
def test_another_server_is_measured_where_a_url_is_given(tmp_path):
    with serving(tmp_path / "other") as other:
        options = Namespace(results=tmp_path, length=5, comfyui=other.url)
        report = Report("cached_rerun", options)
        cached_rerun.measure(options, report)

    figures = {one["name"]: one["value"] for one in json.loads(report.path.read_text())["figures"]}
    assert figures["HTTP: nodegraph, again: nodes computed"] == 0
    assert figures["HTTP: ComfyUI, again: nodes computed"] == 0
    assert figures["HTTP: again"] > 0
