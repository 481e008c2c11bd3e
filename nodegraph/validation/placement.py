"""The place of a run: our own workers, or the ComfyUI servers that have all its node types."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from nodegraph.errors import NodeGraphError, UnknownNodeTypeError
from nodegraph.files.files import Files
from nodegraph.graph.graph import Graph, NodeId
from nodegraph.packs.registry import Registry
from nodegraph.runtime.choices import Prefer
from nodegraph.validation.validate import CheckedGraph, check

Check: TypeAlias = Callable[[Registry], CheckedGraph]
_FEW = 3
"""The most names in one sentence."""


class NoCommonServerError(NodeGraphError):
    """A node type is only on a ComfyUI server that lacks others of the workflow."""

    code = "no_common_server"

    def __init__(
        self, node_id: NodeId, type_name: str, server: str, lacking: Sequence[str]
    ) -> None:
        super().__init__(
            f"the node type {type_name!r} is not here, and {server!r}, which has it, lacks"
            f" {join_few(lacking)}.",
            hint="Install what is missing here or there, or split the workflow.",
            node_id=node_id,
            details={"class_type": type_name, "server": server, "lacking": list(lacking)},
        )


@dataclass(frozen=True, slots=True)
class Placement:
    """The place of a run, and its graph as it was checked against that place's node types."""

    checked: CheckedGraph
    registry: Registry
    """The node types that it was checked against."""
    servers: tuple[str, ...] = ()
    """The ComfyUI servers that can run it; our own workers run it if there are none."""
    why: str = ""
    """The reason, a sentence; empty where there is no choice, for there is no ComfyUI server."""
    models: Mapping[str, int] = field(default_factory=dict[str, int])
    """The model files that it reads, and their bytes; none where nobody asked for them."""


def place(
    graph: Graph,
    native: Registry,
    files: Files,
    offers: Mapping[str, Registry],
    *,
    targets: Iterable[NodeId] | None = None,
    prefer: Prefer = "native",
) -> Placement:
    """Check a graph and choose the place where it runs.

    Our own workers run it if they have all its node types, unless it prefers ComfyUI; else the
    servers that have all of them do. So do they if the graph is not valid here but is valid there,
    because of a model or another file.

    Args:
        graph: the graph.
        native: our node types.
        files: the files of the run's owner.
        offers: the node types of each ComfyUI server, by its name.
        targets: the nodes whose results are wanted; all output nodes if None.
        prefer: the place that is tried first.
    """
    wanted = None if targets is None else tuple(targets)

    def at(registry: Registry) -> CheckedGraph:
        return check(graph, registry, files, wanted)

    if not offers:
        return Placement(at(native), native)
    types = {node.type_name for node in graph.nodes.values()}
    able = {name: offer for name, offer in offers.items() if _has_all(offer, graph)}
    here = _has_all(native, graph)
    if not here and not able:
        return Placement(_without_place(at(native), offers), native)
    if able and (prefer == "comfyui" or not here):
        there = _place_there(at, able, _reason(types, native, able, here=here))
        if not there.checked.problems or not here:
            return there
    own = Placement(at(native), native, (), _reason_here(prefer, is_able=bool(able)))
    if not able or prefer == "comfyui" or not own.checked.problems:
        return own
    first = own.checked.problems[0]
    there = _place_there(at, able, f"It is not valid here ({first}), and is valid there.")
    return own if there.checked.problems else there


def join_few(names: Sequence[str]) -> str:
    """Return names as the part of a sentence, the first few of them in quotes."""
    quoted = [repr(name) for name in names[:_FEW]]
    if len(names) > _FEW:
        return f"{', '.join(quoted)} and {len(names) - _FEW} more"
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def _has_all(registry: Registry, graph: Graph) -> bool:
    catalog = registry.catalog
    return all(node.type_name.partition("@")[0] in catalog for node in graph.nodes.values())


def _place_there(at: Check, able: Mapping[str, Registry], why: str) -> Placement:
    """Return the place on those servers where the graph is valid; on the first if on none."""
    checked = {name: at(registry) for name, registry in able.items()}
    valid = tuple(name for name, found in checked.items() if not found.problems)
    first = (valid or tuple(able))[0]
    return Placement(checked[first], able[first], valid or (first,), why)


def _reason(
    types: Iterable[str], native: Registry, able: Mapping[str, Registry], *, here: bool
) -> str:
    servers = [*able]
    if here:
        return f"ComfyUI is preferred, and {join_few(servers)} {_has(servers)} all node types."
    missing = sorted(name for name in types if name not in native.catalog)
    return f"{join_few(missing)} {_are(missing)} not here, but on {join_few(servers)}."


def _reason_here(prefer: Prefer, *, is_able: bool) -> str:
    if prefer == "comfyui" and not is_able:
        return "ComfyUI is preferred, but no ComfyUI server has all node types; they are here."
    if prefer == "comfyui":
        return "ComfyUI is preferred, but it is not valid there."
    return "All node types are here."


def _without_place(checked: CheckedGraph, offers: Mapping[str, Registry]) -> CheckedGraph:
    """Say of types that only a server has what that server lacks, not that nobody has them."""
    nodes = checked.original.nodes
    types = {node.type_name for node in nodes.values()}
    lacking = {name: sorted(types - offers[name].catalog.keys()) for name in offers}
    problems: list[NodeGraphError] = []
    for problem in checked.problems:
        node = nodes.get(problem.node_id or "")
        able = [name for name in offers if node and node.type_name in offers[name].catalog]
        if node and able and problem.code == UnknownNodeTypeError.code:
            server = min(able, key=lambda name: len(lacking[name]))
            problems.append(NoCommonServerError(node.id, node.type_name, server, lacking[server]))
        else:
            problems.append(problem)
    return replace(checked, problems=tuple(problems))


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _has(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"
