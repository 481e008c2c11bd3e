"""An explanation as a drawing: SVG without scripts, fonts or anything else from outside."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from unicodedata import east_asian_width
from xml.sax.saxutils import escape

from nodegraph.cli.explanation.layout import (
    BOX_HEIGHT,
    BOX_WIDTH,
    Layout,
    Point,
    Wire,
    lay_out,
)
from nodegraph.cli.explanation.text import clean, format_count, model_text, path_text
from nodegraph.cli.explanation.values import ExplainedNode, Explanation, Source
from nodegraph.graph.graph import NodeId
from nodegraph.runtime.sizes import format_size

_MARGIN = 32.0
_HEAD = 112.0
_NARROWEST = 1020.0
"""The least width of a drawing, which the heading needs."""
_LABEL = 16
_COLOURS = (
    "#7c5cc4", "#c98a00", "#d1495b", "#e0762f", "#c2489b", "#2f7fd1", "#3c9d5d", "#5b6b7b",
    "#008c95", "#8a6d3b",
)  # fmt: skip
"""The colours of the types of values, in the order in which these first appear."""
_PLAIN = "#8b98a5"
_CRITICAL = "#e8590c"
_STYLE = """
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; fill: #1c2733; }
.box { fill: #fff; stroke: #7f8fa0; stroke-width: 1.2; }
.title { font-size: 13px; font-weight: 600; }
.type, .fact { font-size: 11px; fill: #53616f; }
.head { font-size: 19px; font-weight: 650; }
.about { font-size: 12.5px; fill: #53616f; }
.link { fill: none; stroke-width: 1.6; opacity: 0.8; }
.link.critical { stroke-width: 4.5; opacity: 1; }
.link.loop { stroke: #c8102e; stroke-dasharray: 5 4; }
.runs .bar { fill: #2f7fd1; }
.repeats .box { fill: #eef8f0; stroke: #3c9d5d; stroke-dasharray: 6 4; }
.repeats .bar { fill: #3c9d5d; }
.on_demand .box { stroke-dasharray: 2 4; }
.on_demand .bar { fill: #8fb8e3; }
.not_needed .box { fill: #f1f3f5; stroke: #c3ccd4; }
.not_needed text { fill: #8b98a5; }
.not_needed .bar { fill: #c3ccd4; }
.critical .box { stroke: #e8590c; stroke-width: 3; stroke-dasharray: none; }
.broken .box { fill: #fdecee; stroke: #c8102e; stroke-width: 2.4; }
.broken .bar { fill: #c8102e; }
.dark { fill: #e8590c; font-weight: 600; }
""".strip()  # noqa: E501 - one rule a line
_LEGEND = (
    ("runs critical", "on the critical path"),
    ("runs", "runs"),
    ("repeats", "takes an equal node's result"),
    ("on_demand", "runs on demand"),
    ("not_needed", "not needed"),
    ("runs broken", "has a problem"),
)


def as_svg(name: str, explanation: Explanation) -> str:
    """Return the drawing.

    Args:
        name: of the workflow.
        explanation: of the workflow.
    """
    nodes = explanation.nodes
    wires = {i: _wires(node, explanation) for i, node in nodes.items()}
    layout = lay_out({i: node.layer for i, node in nodes.items()}, wires)
    colours = _colours(explanation)
    inner = max(layout.width, _NARROWEST, sum(map(_socket_width, colours)))
    width = inner + 2 * _MARGIN
    height = layout.height + _HEAD + 2 * _MARGIN
    shift = (width - layout.width) / 2
    size = f'width="{width:.0f}" height="{height:.0f}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{_text(name, 200)}</title>",
        f"<style>\n{_STYLE}\n</style>",
        f'<clipPath id="inside"><rect width="{BOX_WIDTH - 8}" height="{BOX_HEIGHT}"/></clipPath>',
        f'<rect {size} fill="#fbfcfd"/>',
        *_heading(name, explanation, colours),
        f'<g transform="translate({shift:.1f} {_HEAD + _MARGIN:.1f})">',
        *_links(explanation, layout, colours),
        *_boxes(explanation, layout),
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _wires(node: ExplainedNode, explanation: Explanation) -> list[Wire]:
    """Return the wires that a node reads from smaller layers."""
    sources = (source for source in node.sources if source.node in explanation.nodes)
    wires = dict.fromkeys(Wire(source.node, source.socket) for source in sources)
    return [wire for wire in wires if explanation.nodes[wire.source].layer < node.layer]


def _colours(explanation: Explanation) -> dict[str, str]:
    """Return a colour for each type of value."""
    sources = (source for node in explanation.nodes.values() for source in node.sources)
    sockets = list(dict.fromkeys(source.socket for source in sources if source.socket))
    return dict(zip(sockets, _COLOURS, strict=False))


def _heading(name: str, explanation: Explanation, colours: dict[str, str]) -> Iterator[str]:
    yield f'<text class="head" x="{_MARGIN}" y="40">{_text(name, 80)}</text>'
    runs = format_count(len(explanation.with_status("runs")), "node")
    parts = [f"{runs} would run on: {explanation.device}"]
    repeated = len(explanation.with_status("repeats"))
    parts += [f"{repeated} computed once with an equal one"] if repeated else []
    on_disk = any(place.entries for place in explanation.results)
    parts += ["results may be on the disk" if on_disk else "nothing is cached before a run"]
    parts += [f"critical path: {path_text(explanation)}"] if explanation.critical_path else []
    parts += [format_count(len(explanation.problems), "problem")] if explanation.problems else []
    yield f'<text class="about" x="{_MARGIN}" y="62">{_text(" · ".join(parts), 150)}</text>'
    x = _MARGIN
    for kind, label in _legend(explanation):
        yield f'<g class="{kind}" transform="translate({x:.0f} 76)">'
        yield '<rect class="box" width="26" height="15" rx="4"/>'
        yield '<rect class="bar" x="4" y="3.5" width="3" height="8" rx="1.5"/></g>'
        yield f'<text class="about" x="{x + 33:.0f}" y="88">{label}</text>'
        x += 54 + 6.6 * len(label)
    x = _MARGIN
    for socket, colour in colours.items():
        line = f'x1="{x:.0f}" x2="{x + 18:.0f}" y1="108" y2="108"'
        yield f'<line {line} stroke="{colour}" stroke-width="3"/>'
        yield f'<text class="about" x="{x + 24:.0f}" y="112">{_text(socket, _LABEL)}</text>'
        x += _socket_width(socket)


def _socket_width(socket: str) -> float:
    """Return the width of a value type's entry in the legend."""
    return 44 + 9.2 * min(len(socket), _LABEL)


def _legend(explanation: Explanation) -> Iterator[tuple[str, str]]:
    """Yield the entries of the legend that the drawing needs."""
    seen: set[str] = {node.status for node in explanation.nodes.values()}
    seen |= {"runs critical"} if explanation.critical_path else set()
    seen |= {"runs broken"} if any(node.broken for node in explanation.nodes.values()) else set()
    yield from ((kind, label) for kind, label in _LEGEND if kind in seen)


def _links(explanation: Explanation, layout: Layout, colours: dict[str, str]) -> Iterator[str]:
    """Yield all links, those on the critical path last, so that nothing covers them."""
    drawn = _inputs_by_wire(explanation)
    for wire in dict.fromkeys(wire for wire, _ in drawn):
        trunk = layout.trunk(wire)
        if len(trunk) > 1:
            yield _path("link", _curve(trunk), _stroke(wire, colours), "")
    steps = set(pairwise(explanation.critical_path))
    critical: dict[tuple[NodeId, NodeId], str] = {}
    for (wire, reader), sources in drawn.items():
        label = _label(explanation, reader, sources)
        if explanation.nodes[wire.source].layer >= explanation.nodes[reader].layer:
            yield _path("link loop", _around(layout, wire.source, reader), "", label)
            continue
        branch = _curve(layout.branch(wire, reader))
        yield _path("link", branch, _stroke(wire, colours), label)
        if (wire.source, reader) in steps:
            way = _path("link critical", _curve(layout.way(wire, reader)), _CRITICAL, label)
            critical.setdefault((wire.source, reader), way)
    yield from critical.values()


def _inputs_by_wire(explanation: Explanation) -> dict[tuple[Wire, NodeId], list[Source]]:
    """Return the inputs that each wire leads to, by its reader."""
    drawn: dict[tuple[Wire, NodeId], list[Source]] = {}
    for node in explanation.nodes.values():
        for source in node.sources:
            if source.node in explanation.nodes:
                drawn.setdefault((Wire(source.node, source.socket), node.id), []).append(source)
    return drawn


def _path(kind: str, way: str, stroke: str, label: str) -> str:
    paint = f' stroke="{stroke}"' if stroke else ""
    title = f"<title>{_text(label, 200)}</title>" if label else ""
    return f'<path class="{kind}" d="{way}"{paint}>{title}</path>'


def _stroke(wire: Wire, colours: dict[str, str]) -> str:
    return colours.get(wire.socket, _PLAIN)


def _label(explanation: Explanation, reader: NodeId, sources: Sequence[Source]) -> str:
    """Return a link's tooltip: from which output to which inputs it leads."""
    start = f"{explanation.nodes[sources[0].node].title} {sources[0].output}"
    inputs = ", ".join(source.input for source in sources)
    return f"{start} → {explanation.nodes[reader].title} {inputs}"


def _curve(points: Sequence[Point]) -> str:
    """Return a curve through points that leaves and enters all of them horizontally."""
    parts = [f"M{points[0].x:.1f} {points[0].y:.1f}"]
    for a, b in pairwise(points):
        if a.y == b.y:
            parts.append(f"H{b.x:.1f}")
            continue
        half = (b.x - a.x) / 2
        parts.append(f"C{a.x + half:.1f} {a.y:.1f} {b.x - half:.1f} {b.y:.1f} {b.x:.1f} {b.y:.1f}")
    return "".join(parts)


def _around(layout: Layout, source: NodeId, reader: NodeId) -> str:
    """Return a curve that goes back, below the boxes."""
    a, b = layout.boxes[source], layout.boxes[reader]
    start, end = Point(a.x + BOX_WIDTH, a.y + BOX_HEIGHT / 2), Point(b.x, b.y + BOX_HEIGHT / 2)
    low = max(a.y, b.y) + 1.5 * BOX_HEIGHT
    return (
        f"M{start.x:.1f} {start.y:.1f}C{start.x + 60:.1f} {low:.1f}"
        f" {end.x - 60:.1f} {low:.1f} {end.x:.1f} {end.y:.1f}"
    )


def _boxes(explanation: Explanation, layout: Layout) -> Iterator[str]:
    files = _files(explanation)
    for node in explanation.nodes.values():
        x, y = layout.boxes[node.id]
        kinds = [node.status, *(["critical"] if node.critical else [])]
        kinds += ["broken"] if node.broken else []
        yield f'<g class="{" ".join(kinds)}" transform="translate({x:.1f} {y:.1f})">'
        yield f"<title>{_text(f'{node.title} ({node.type_name}), node {node.id}', 300)}</title>"
        yield f'<rect class="box" width="{BOX_WIDTH:.0f}" height="{BOX_HEIGHT:.0f}" rx="8"/>'
        yield f'<rect class="bar" x="7" y="9" width="4" height="{BOX_HEIGHT - 18:.0f}" rx="2"/>'
        yield '<g clip-path="url(#inside)">'
        yield f'<text class="title" x="20" y="23">{_text(node.title, 26)}</text>'
        about = f"{node.type_name} · {node.id}" if node.title != node.type_name else node.id
        yield f'<text class="type" x="20" y="40">{_text(about, 35)}</text>'
        remark = _remark(node, files)
        if remark:
            kind = "fact dark" if node.critical and node.steps else "fact"
            yield f'<text class="{kind}" x="20" y="56">{_text(remark, 35)}</text>'
        yield "</g></g>"


def _remark(node: ExplainedNode, files: dict[NodeId, str]) -> str:
    """Return the third line of a node's box: the most useful thing besides its name."""
    if node.repeats is not None:
        return f"equal to node {node.repeats}"
    if node.steps is not None:
        return format_count(node.steps, "step")
    return files.get(node.id, "")


def _files(explanation: Explanation) -> dict[NodeId, str]:
    """Return the first file of each node that names any."""
    texts: dict[NodeId, str] = {}
    for file in explanation.files:
        parts = [model_text(file), format_size(file.size)] if file.path else ["not here"]
        for node_id in file.nodes:
            texts.setdefault(node_id, ", ".join(part for part in parts if part))
    return texts


def _text(text: str, most: int) -> str:
    """Escape a text for XML, cut off after `most` columns."""
    widths = list(accumulate(2 if east_asian_width(c) in "WF" else 1 for c in text))
    short = text
    if widths and widths[-1] > most:
        short = f"{text[: bisect_right(widths, most - 1)].rstrip()}…"
    return escape(clean(short))
