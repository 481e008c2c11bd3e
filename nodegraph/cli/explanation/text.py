"""An explanation as text for people, and as data for programs."""

from collections.abc import Iterator, Sequence
from typing import Any

from nodegraph.cli.explanation.facts import Explanation, FileFacts, NodeFacts, Status
from nodegraph.cli.terminal.report import as_data
from nodegraph.graph.graph import NodeId
from nodegraph.runtime.sizes import format_size

CACHED = (
    "nothing. Results are kept in the memory of the process that computes them, and every"
    " `nodegraph run` is a new one. Servers and Python programs keep results from run to run,"
    " and do not say which."
)
_MOST = 24
"""How many nodes of a path, or of a file's readers, are named."""
_HEADS: tuple[tuple[Status, str], ...] = (
    ("runs", "Runs, in this order (* on the critical path)"),
    ("repeats", "Takes the result of an equal node, which is computed once"),
    ("on_demand", "Runs only if an input that is computed on demand asks for it"),
    ("not_needed", "Does not run: no output needs it"),
)


def as_text(name: str, found: Explanation) -> str:
    """The explanation for people.

    Args:
        name: of the workflow.
        found: what was found out.
    """
    return "\n".join(clean(line) for line in _lines(name, found)) + "\n"


def as_plain(found: Explanation) -> dict[str, Any]:
    """The explanation for programs: JSON."""
    return {
        "valid": not found.problems,
        "targets": list(found.targets),
        "nodes": [_node_data(node) for node in found.nodes.values()],
        "cached": {"nodes": [], "why": CACHED},
        "critical_path": {"nodes": list(found.critical_path), "length": found.length},
        "device": found.device,
        "files": [_file_data(file) for file in found.files],
        **as_data(found.problems, found.warnings),
    }


def clean(text: str) -> str:
    """The text without what terminals or XML take for something else."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def counted(count: int, noun: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def model_text(file: FileFacts) -> str:
    """The family and the dtypes of a model file; empty if they are not known."""
    if file.model is None:
        return ""
    return ", ".join((file.model.family or "no known family", "/".join(file.model.dtypes)))


def path_text(found: Explanation) -> str:
    """The length of the critical path, in nodes and steps."""
    steps = sum(found.nodes[node_id].steps or 0 for node_id in found.critical_path)
    nodes = counted(len(found.critical_path), "node")
    return f"{nodes}, {counted(steps, 'step')}" if steps else nodes


def _lines(name: str, found: Explanation) -> Iterator[str]:
    valid = "not valid: see its problems" if found.problems else "valid"
    outputs = counted(len(found.targets), "output")
    yield f"{name}: {counted(len(found.nodes), 'node')}, {outputs}, {valid}"
    width = len(str(len(found.nodes)))
    number = 0
    for status, head in _HEADS:
        nodes = found.with_status(status)
        if nodes:
            yield from ("", f"{head}:")
        for node in nodes:
            number += 1
            yield from _node_lines(node, f"{number:{width + 2}}")
    yield from ("", f"Cached before it runs: {CACHED}")
    yield from ("", *_path_lines(found))
    yield from _file_lines(found)


def _node_lines(node: NodeFacts, number: str) -> Iterator[str]:
    indent = " " * (len(number) + 4)
    mark = "*" if node.critical else " "
    title = f'  "{node.title}"' if node.title != node.type_name else ""
    yield f"{number}. {mark} node {node.id}  {node.type_name}{title}{_remarks(node)}"
    for source in node.sources:
        yield f"{indent}  {source.input} <- node {source.node}, {source.output}"


def _remarks(node: NodeFacts) -> str:
    remarks = [
        f"equal to node {node.repeats}" if node.repeats is not None else "",
        counted(node.steps, "step") if node.steps is not None else "",
        "another node says how many steps" if node.steps_linked else "",
        "has a problem" if node.broken else "",
    ]
    said = ", ".join(remark for remark in remarks if remark)
    return f"  ({said})" if said else ""


def _path_lines(found: Explanation) -> Iterator[str]:
    if not found.critical_path:
        looping = any(problem.code == "cycle" for problem in found.problems)
        yield f"Critical path: none, for {'the graph loops' if looping else 'nothing runs'}."
        return
    yield f"Critical path ({path_text(found)}; length {found.length:,}):"
    names = [f"{i} ({found.nodes[i].title})" for i in found.critical_path]
    if len(names) > _MOST:
        names = [*names[: _MOST // 2], "…", *names[-_MOST // 2 :]]
    yield "  " + " -> ".join(names)


def _file_lines(found: Explanation) -> Iterator[str]:
    for head, files in (
        (f"Models (computed on: {found.device})", [f for f in found.files if f.is_model]),
        ("Other files that it reads", [f for f in found.files if not f.is_model]),
    ):
        if not files:
            continue
        yield from ("", f"{head}:")
        for file in files:
            yield f"  {file.folder}/{file.name}  (node {_some(file.nodes)})"
            facts = [format_size(file.size) if file.path else "", model_text(file)]
            facts += [f"on {file.device}" if file.device else "", file.note]
            yield "      " + ", ".join(fact for fact in facts if fact)
            if file.path:
                yield f"      {file.path}"


def _some(ids: Sequence[NodeId]) -> str:
    more = f" and {len(ids) - _MOST:,} more" if len(ids) > _MOST else ""
    return ", ".join(ids[:_MOST]) + more


def _node_data(node: NodeFacts) -> dict[str, Any]:
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


def _file_data(file: FileFacts) -> dict[str, Any]:
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
