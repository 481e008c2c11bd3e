"""`nodegraph explain --draw`: SVG and Mermaid that show what the text says."""

import json
import random
import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from nodegraph.cli.explanation.layout import (
    BOX_HEIGHT,
    BOX_WIDTH,
    COLUMN,
    Wire,
    lay_out,
)

ROOT = Path(__file__).parents[3]
SVG = "{http://www.w3.org/2000/svg}"
NODES = {
    "a": ("Steps", {"steps": 3}),
    "twin": ("Steps", {"steps": 3}),
    "spare": ("Steps", {"steps": 4}),
    "bad": ("Steps", {"steps": 0}),
    "out": ("Write", {"text": ["a", 0]}),
    "other": ("Write", {"text": ["twin", 0], "filename_prefix": "other"}),
    "more": ("Write", {"text": ["bad", 0], "filename_prefix": "more"}),
}


def boxes(text):
    """The class and the texts of every node that a drawing shows, by its title's node id."""
    found = {}
    for group in ElementTree.fromstring(text).iter(f"{SVG}g"):
        title = group.find(f"{SVG}title")
        if title is not None and title.text:
            texts = [item.text for item in group.iter(f"{SVG}text")]
            found[title.text.rpartition(" ")[2]] = (group.get("class"), texts)
    return found


def draw(invoke, path, name):
    invoke("explain", path, "--draw", name)
    return Path(name).read_text(encoding="utf-8")


def test_the_svg_shows_what_runs_what_repeats_and_what_is_wrong(invoke, workflow):
    found = boxes(draw(invoke, workflow(**NODES), "graph.svg"))
    kinds = {node_id: kind for node_id, (kind, _) in found.items()}

    assert kinds == {
        "a": "runs critical",
        "out": "runs critical",
        "twin": "repeats",
        "spare": "not_needed",
        "bad": "runs broken",
        "other": "runs",
        "more": "runs",
    }
    assert found["a"][1] == ["Steps", "a", "3 steps"]
    assert found["twin"][1][-1] == "equal to node a"


def test_the_critical_path_is_drawn_once_and_over_the_other_links(invoke, workflow):
    tree = ElementTree.fromstring(draw(invoke, workflow(**NODES), "graph.svg"))
    links = [path.get("class") for path in tree.iter(f"{SVG}path")]

    assert links == ["link", "link", "link", "link critical"]


def test_titles_of_any_kind_are_drawn_and_fit(invoke, workflow):
    path = workflow(**NODES)
    data = json.loads(path.read_text())
    data["a"]["_meta"] = {"title": '<b> & "quotes" \x00 that goes on and on and on'}
    data["out"]["_meta"] = {"title": "画像を保存する画像を保存する"}
    path.write_text(json.dumps(data))
    found = boxes(draw(invoke, path, "graph.svg"))

    assert found["a"][1][0] == '<b> & "quotes" � that goe…'
    assert found["out"][1][0] == "画像を保存する画像を保存…"


def test_a_loop_is_drawn_as_one(invoke, workflow):
    path = workflow(
        a=("Boom", {"text": ["b", 0]}),
        b=("Boom", {"text": ["a", 0]}),
        out=("Write", {"text": ["a", 0]}),
    )
    tree = ElementTree.fromstring(draw(invoke, path, "graph.svg"))
    links = [item.get("class", "") for item in tree.iter(f"{SVG}path")]

    assert sorted(links) == ["link", "link", "link loop"]


@pytest.mark.parametrize("seed", range(8))
def test_no_box_covers_another_and_no_link_runs_behind_one(seed):
    chance = random.Random(seed)
    ids = [str(k) for k in range(60)]
    wires = {i: [] for i in ids}
    depth = {}
    for k, node_id in enumerate(ids):
        sources = chance.sample(ids[:k], min(k, chance.randrange(4)))
        wires[node_id] = [Wire(source, chance.choice("AB")) for source in sources]
        depth[node_id] = max((depth[source] + 1 for source in sources), default=0)
    layout = lay_out(depth, wires)

    for a, b in combinations(layout.boxes.values(), 2):
        assert abs(a.x - b.x) >= COLUMN or abs(a.y - b.y) >= BOX_HEIGHT + 10
    for lane, y in layout.lanes.items():
        for box in layout.boxes.values():
            beside = box.x != lane.layer * COLUMN
            assert beside or not box.y - 5 < y < box.y + BOX_HEIGHT + 5
    for node_id, found in wires.items():
        for wire in found:
            way = layout.way(wire, node_id)
            assert way[0].x == layout.boxes[wire.source].x + BOX_WIDTH
            assert len(way) == 2 * (depth[node_id] - depth[wire.source])
    assert all(0 <= x <= layout.width - BOX_WIDTH for x, _ in layout.boxes.values())
    assert all(0 <= y <= layout.height - BOX_HEIGHT for _, y in layout.boxes.values())


def test_mermaid_has_every_node_and_link(invoke, workflow):
    path = workflow(**NODES)
    data = json.loads(path.read_text())
    data["a"]["_meta"] = {"title": 'a "quoted" [title]; end'}
    path.write_text(json.dumps(data))
    text = draw(invoke, path, "graph.mmd")

    assert text.startswith("flowchart LR\n")
    assert '["<b>a #34;quoted#34; #91;title#93;#59; end</b><br/>Steps · a<br/>3 steps"]' in text
    assert len(re.findall(r'^n\d+ -->\|"STRING"\| n\d+$', text, re.MULTILINE)) == 3
    assert "linkStyle 0 stroke:#e8590c" in text


def test_in_markdown_it_stands_in_a_fence(invoke, simple):
    text = draw(invoke, simple, "graph.md")

    assert text.startswith("```mermaid\nflowchart LR\n")
    assert text.endswith("\n```\n")


def test_other_formats_are_refused_before_anything_is_done(invoke, simple, here):
    done = invoke("explain", simple, "--draw", "graph.png")

    assert done.exit_code == 2
    assert "graph.png has to end in one of .svg, .mmd, .md" in done.stderr
    assert done.stdout == ""


def test_a_drawing_that_can_not_be_written_is_an_error(invoke, simple):
    done = invoke("explain", simple, "--draw", "no/such/graph.svg")

    assert done.exit_code == 2
    assert "[output_not_writable]" in done.stderr
