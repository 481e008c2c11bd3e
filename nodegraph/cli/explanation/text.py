"""An explanation as text for people, and as data for programs."""

from collections.abc import Iterator, Sequence
from typing import Any

from nodegraph.cli.explanation.kept_results import result_lines, why_cached
from nodegraph.cli.explanation.values import ExplainedFile, ExplainedNode, Explanation, Status
from nodegraph.cli.terminal.report import as_data
from nodegraph.graph.graph import NodeId
from nodegraph.runtime.sizes import format_size

_MOST = 24
"""The most nodes of a path, or readers of a file, that are named."""
_HEADS: tuple[tuple[Status, str], ...] = (
    ("runs", "Runs, in this order (* on the critical path)"),
    ("repeats", "Takes the result of an equal node, which is computed once"),
    ("on_demand", "Runs only if an input that is computed on demand asks for it"),
    ("not_needed", "Does not run: no output needs it"),
)


def as_text(name: str, explanation: Explanation) -> str:
    """Return the explanation for people.

    Args:
        name: of the workflow.
        explanation: of the workflow.
    """
    return "\n".join(clean(line) for line in _lines(name, explanation)) + "\n"


def as_plain(explanation: Explanation) -> dict[str, Any]:
    """Return the explanation for programs: JSON."""
    return {
        "valid": not explanation.problems,
        "targets": list(explanation.targets),
        "nodes": [_node_data(node) for node in explanation.nodes.values()],
        "cached": {"nodes": [], "why": why_cached(explanation)},
        "results": [place._asdict() for place in explanation.results],
        "critical_path": {"nodes": list(explanation.critical_path), "length": explanation.length},
        "device": explanation.device,
        "files": [_file_data(file) for file in explanation.files],
        "servers": list(explanation.servers),
        "why": explanation.why,
        **as_data(explanation.problems, explanation.warnings),
    }


def clean(text: str) -> str:
    """Replace characters that terminals or XML take for something else."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def format_count(count: int, noun: str) -> str:
    """Return a count and its noun: `1 node`, `2 nodes`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def model_text(file: ExplainedFile) -> str:
    """Return the family and the dtypes of a model file; empty if they are not known."""
    if file.model is None:
        return ""
    return ", ".join((file.model.family or "no known family", "/".join(file.model.dtypes)))


def path_text(explanation: Explanation) -> str:
    """Return the length of the critical path, in nodes and steps."""
    steps = sum(explanation.nodes[node_id].steps or 0 for node_id in explanation.critical_path)
    nodes = format_count(len(explanation.critical_path), "node")
    return f"{nodes}, {format_count(steps, 'step')}" if steps else nodes


def _lines(name: str, explanation: Explanation) -> Iterator[str]:
    valid = "not valid: see its problems" if explanation.problems else "valid"
    outputs = format_count(len(explanation.targets), "output")
    yield f"{name}: {format_count(len(explanation.nodes), 'node')}, {outputs}, {valid}"
    if explanation.why:
        place = " or ".join(explanation.servers) or "here"
        yield f"Runs {'on ' if explanation.servers else ''}{place}. {explanation.why}"
    looping = _has_cycle(explanation)
    if looping:
        yield "Nothing can run, for the graph loops."
    width = len(str(len(explanation.nodes)))
    number = 0
    for status, head in _HEADS:
        nodes = explanation.with_status(status)
        if nodes:
            blocked = looping and status == "runs"
            yield from ("", "Needed, in no order that could run:" if blocked else f"{head}:")
        for node in nodes:
            number += 1
            yield from _node_lines(node, f"{number:{width + 2}}")
    yield from ("", f"Cached before it runs: {why_cached(explanation)}")
    yield from result_lines(explanation)
    yield from ("", *_path_lines(explanation))
    yield from _file_lines(explanation)


def _has_cycle(explanation: Explanation) -> bool:
    return any(problem.code == "cycle" for problem in explanation.problems)


def _node_lines(node: ExplainedNode, number: str) -> Iterator[str]:
    indent = " " * (len(number) + 4)
    mark = "*" if node.critical else " "
    title = f'  "{node.title}"' if node.title != node.type_name else ""
    yield f"{number}. {mark} node {node.id}  {node.type_name}{title}{_remarks(node)}"
    for source in node.sources:
        yield f"{indent}  {source.input} <- node {source.node}, {source.output}"


def _remarks(node: ExplainedNode) -> str:
    remarks = [
        f"equal to node {node.repeats}" if node.repeats is not None else "",
        format_count(node.steps, "step") if node.steps is not None else "",
        "another node says how many steps" if node.steps_linked else "",
        "has a problem" if node.broken else "",
    ]
    joined = ", ".join(remark for remark in remarks if remark)
    return f"  ({joined})" if joined else ""


def _path_lines(explanation: Explanation) -> Iterator[str]:
    if not explanation.critical_path:
        why = "the graph loops" if _has_cycle(explanation) else "nothing runs"
        yield f"Critical path: none, for {why}."
        return
    yield f"Critical path ({path_text(explanation)}; length {explanation.length:,}):"
    names = [f"{i} ({explanation.nodes[i].title})" for i in explanation.critical_path]
    if len(names) > _MOST:
        names = [*names[: _MOST // 2], "…", *names[-_MOST // 2 :]]
    yield "  " + " -> ".join(names)


def _file_lines(explanation: Explanation) -> Iterator[str]:
    for head, files in (
        (
            f"Models (computed on: {explanation.device})",
            [f for f in explanation.files if f.is_model],
        ),
        ("Other files that it reads", [f for f in explanation.files if not f.is_model]),
    ):
        if not files:
            continue
        yield from ("", f"{head}:")
        for file in files:
            yield f"  {file.folder}/{file.name}  (node {_some(file.nodes)})"
            parts = [format_size(file.size) if file.path else "", model_text(file)]
            parts += [f"on {file.device}" if file.device else "", file.note]
            yield "      " + ", ".join(part for part in parts if part)
            if file.path:
                yield f"      {file.path}"


def _some(ids: Sequence[NodeId]) -> str:
    more = f" and {len(ids) - _MOST:,} more" if len(ids) > _MOST else ""
    return ", ".join(ids[:_MOST]) + more


def _node_data(node: ExplainedNode) -> dict[str, Any]:
    return {
        "id": node.id,
        "class_type": node.type_name,
        "title": node.title,
        "status": node.status,
        "repeats": node.repeats,
        "inputs": [source._asdict() for source in node.sources],
        "steps": node.steps,
        "critical": node.critical,
        "layer": node.layer,
        "has_problem": node.broken,
    }


def _file_data(file: ExplainedFile) -> dict[str, Any]:
    model = file.model
    return {
        "folder": file.folder,
        "name": file.name,
        "nodes": list(file.nodes),
        "path": str(file.path) if file.path else None,
        "bytes": file.size if file.path else None,
        "model": file.is_model,
        "family": model.family if model else None,
        "dtypes": list(model.dtypes) if model else None,
        "parameters": model.parameters if model else None,
        "device": file.device or None,
        "note": file.note or None,
    }
