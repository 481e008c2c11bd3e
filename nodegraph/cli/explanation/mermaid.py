"""An explanation as Mermaid text, which GitHub and many editors draw (https://mermaid.js.org)."""

from collections.abc import Iterator
from itertools import pairwise

from nodegraph.cli.explanation.text import clean, format_count, path_text
from nodegraph.cli.explanation.values import ExplainedNode, Explanation

_CLASSES = """\
classDef runs fill:#ffffff,stroke:#2f7fd1,color:#1c2733
classDef repeats fill:#eef8f0,stroke:#3c9d5d,color:#1c2733,stroke-dasharray:6 4
classDef on_demand fill:#ffffff,stroke:#2f7fd1,color:#1c2733,stroke-dasharray:2 4
classDef not_needed fill:#f1f3f5,stroke:#c3ccd4,color:#8b98a5
classDef critical stroke:#e8590c,stroke-width:3px
classDef broken fill:#fdecee,stroke:#c8102e,stroke-width:3px
"""


def as_mermaid(name: str, explanation: Explanation) -> str:
    """Return the drawing as text.

    Args:
        name: of the workflow.
        explanation: of the workflow.
    """
    return "".join(f"{line}\n" for line in _lines(name, explanation)) + _CLASSES


def _lines(name: str, explanation: Explanation) -> Iterator[str]:
    yield "flowchart LR"
    path = f", critical path: {path_text(explanation)}" if explanation.critical_path else ""
    yield f"%% {clean(name)}{path}"
    numbers = {node_id: number for number, node_id in enumerate(explanation.nodes)}
    for node in explanation.nodes.values():
        yield f'n{numbers[node.id]}["{_label(node)}"]:::{node.status}'
        yield from (f"class n{numbers[node.id]} {kind}" for kind in _kinds(node))
    path_links = set(pairwise(explanation.critical_path))
    bold: list[int] = []
    count = 0
    for node in explanation.nodes.values():
        for source in node.sources:
            if source.node not in numbers:
                continue
            label = _escape(source.socket or source.output)
            yield f'n{numbers[source.node]} -->|"{label}"| n{numbers[node.id]}'
            if (source.node, node.id) in path_links:
                bold.append(count)
            count += 1
    if bold:
        yield f"linkStyle {','.join(map(str, bold))} stroke:#e8590c,stroke-width:4px"


def _kinds(node: ExplainedNode) -> Iterator[str]:
    if node.critical:
        yield "critical"
    if node.broken:
        yield "broken"


def _label(node: ExplainedNode) -> str:
    lines = [f"<b>{_escape(node.title)}</b>", f"{_escape(node.type_name)} · {_escape(node.id)}"]
    if node.repeats is not None:
        lines.append(f"equal to node {_escape(node.repeats)}")
    elif node.steps is not None:
        lines.append(format_count(node.steps, "step"))
    return "<br/>".join(lines)


def _escape(text: str) -> str:
    """Return the text with entities for everything that Mermaid reads as something else."""
    return "".join(c if c.isalnum() or c in " .-_·,:/" else f"#{ord(c)};" for c in clean(text))
