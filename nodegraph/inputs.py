"""Check the inputs of one node against its spec: links, literals, what lacks, what is new."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import is_
from typing import NamedTuple

from nodegraph.errors import NodeGraphError, UnknownNodeTypeError, shown
from nodegraph.files import Files
from nodegraph.graph import Graph, Link, Node, NodeId
from nodegraph.literals import Hints, Literals
from nodegraph.problems import (
    LinkOutputOutOfRangeError,
    LinkToMissingNodeError,
    RequiredInputMissingError,
    ReturnTypeMismatchError,
    UnknownInput,
)
from nodegraph.sockets import connects
from nodegraph.spec import InputSpec, NodeSpec
from nodegraph.workflow.editor.shapes import READ_BY_NOBODY


@dataclass(slots=True)
class Report:
    """Problems and warnings, as they are found."""

    problems: list[NodeGraphError] = field(default_factory=list[NodeGraphError])
    warnings: list[NodeGraphError] = field(default_factory=list[NodeGraphError])

    def add(self, other: "Report", *, problems: bool) -> None:
        """Take over what another report says, its problems as such or as warnings."""
        (self.problems if problems else self.warnings).extend(other.problems)
        self.warnings.extend(other.warnings)


class Read(NamedTuple):
    """A node with its inputs as they will be passed, and what was found on the way, if any."""

    node: Node
    report: Report | None

    @property
    def refused(self) -> bool:
        """Whether something is wrong with it."""
        return self.report is not None and bool(self.report.problems)


class _View:
    """A spec, laid out for looking things up."""

    def __init__(self, spec: NodeSpec) -> None:
        self.inputs = {item.name: item for item in spec.inputs}
        self.outputs = spec.outputs
        self.spec = spec
        self.more = spec.open_inputs


class Inputs:
    """Reads the nodes of one graph."""

    def __init__(self, graph: Graph, catalog: Mapping[str, NodeSpec], files: Files) -> None:
        self._nodes = graph.nodes
        self._catalog = catalog
        self._hints = Hints()
        self._literals = Literals(files, self._hints)
        self._views: dict[str, _View] = {}
        self._clean = Report()

    def read(self, node: Node) -> Read:
        """A node with its literals converted, its defaults filled in, unknown inputs dropped."""
        view = self._view(node.type_name)
        report = self._clean
        if view is None:
            self._clean = Report()
            report.problems.append(self._unknown_type(node))
            return Read(node, report)
        given = node.inputs
        inputs: dict[str, object] = {}
        known = 0
        for name, item in view.inputs.items():
            if name in given:
                known += 1
                self._read_input(node.id, item, given[name], inputs, report)
            elif item.required:
                report.problems.append(_missing(node.id, item))
            elif item.has_default:
                inputs[name] = item.default
        if known < len(given):
            self._read_more(node, view, inputs, report)
        checked = node if _same(inputs, given) else replace(node, inputs=inputs)
        if not report.problems and not report.warnings:
            return Read(checked, None)
        self._clean = Report()
        return Read(checked, report)

    def _view(self, type_name: str) -> _View | None:
        view = self._views.get(type_name)
        if view is None and type_name in self._catalog:
            view = self._views[type_name] = _View(self._catalog[type_name])
        return view

    def _read_input(
        self,
        node_id: NodeId,
        spec: InputSpec,
        value: object,
        into: dict[str, object],
        report: Report,
    ) -> None:
        if isinstance(value, Link):
            into[spec.name] = value
            problem = self._link(node_id, spec, value)
        elif value is None and not spec.required and not spec.has_default:
            return
        else:
            into[spec.name], problem, remark = self._literals.read(node_id, spec, value)
            if remark:
                report.warnings.append(remark)
        if problem:
            report.problems.append(problem)

    def _read_more(self, node: Node, view: _View, into: dict[str, object], report: Report) -> None:
        """The inputs that only the graph has names for; without any, they are warned of."""
        if not view.more:
            report.warnings.extend(self._unknown_inputs(node, view.inputs))
            return
        for name, value in node.inputs.items():
            if name not in view.inputs:
                spec = InputSpec(name=name, socket=view.more, required=False)
                self._read_input(node.id, spec, value, into, report)

    def _link(self, node_id: NodeId, spec: InputSpec, link: Link) -> NodeGraphError | None:
        source = self._nodes.get(link.source)
        if source is None:
            message = f"is linked to node {shown(link.source)}, which is not there."
            hint = self._hints.nearest(link.source, self._nodes)
            return LinkToMissingNodeError(node_id, spec.name, link, message, hint)
        view = self._view(source.type_name)
        if view is None:
            return None
        outputs = view.outputs
        if not 0 <= link.output < len(outputs):
            message = (
                f"is linked to output {link.output} of node {shown(link.source)}"
                f" ({source.type_name}), which has {len(outputs)}, counted from 0."
            )
            return LinkOutputOutOfRangeError(node_id, spec.name, link, message)
        carried = outputs[link.output].socket
        if carried == spec.socket or connects(carried, spec.socket):
            return None
        return _mismatch(node_id, spec, link, view.spec)

    def _unknown_type(self, node: Node) -> NodeGraphError:
        error = UnknownNodeTypeError(node.type_name, (), node_id=node.id)
        error.hint = self._hints.nearest(node.type_name, self._catalog) or error.hint
        return error

    def _unknown_inputs(self, node: Node, known: Mapping[str, InputSpec]) -> list[NodeGraphError]:
        message = f"is none of {node.type_name}'s, and ignored."
        return [
            UnknownInput(node.id, name, message, self._hints.nearest(name, known))
            for name in node.inputs
            if name not in known and name not in READ_BY_NOBODY
        ]


def _same(inputs: Mapping[str, object], given: Mapping[str, object]) -> bool:
    """Whether nothing was converted, added or dropped."""
    return inputs.keys() == given.keys() and all(map(is_, inputs.values(), given.values()))


def _missing(node_id: NodeId, spec: InputSpec) -> NodeGraphError:
    hint = f"Its default is {spec.default!r}." if spec.has_default else f"It takes {spec.socket}."
    return RequiredInputMissingError(node_id, spec.name, "is missing.", hint)


def _mismatch(node_id: NodeId, spec: InputSpec, link: Link, source: NodeSpec) -> NodeGraphError:
    carried = source.outputs[link.output].socket
    fitting = [k for k, out in enumerate(source.outputs) if connects(out.socket, spec.socket)]
    hint = f"Output {fitting[0]} of that node would fit." if fitting else ""
    message = (
        f"takes {spec.socket}, but output {link.output} of node {shown(link.source)}"
        f" ({source.name}) carries {carried}."
    )
    return ReturnTypeMismatchError(node_id, spec.name, link, message, hint, received_type=carried)
