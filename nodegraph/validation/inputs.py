"""Check the inputs of one node against its spec: links, literals, missing and unknown inputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import is_
from typing import NamedTuple

from nodegraph.errors import NodeGraphError, UnknownNodeTypeError, short_repr
from nodegraph.files.files import Files
from nodegraph.graph.dynamic_inputs import inputs_for, is_dynamic
from nodegraph.graph.graph import Graph, Link, Node, NodeId
from nodegraph.graph.sockets import ANY, connects
from nodegraph.graph.spec import InputSpec, NodeSpec
from nodegraph.validation.literals import FIRST_FEW, Literals, SuggestionBudget
from nodegraph.validation.problems import (
    InvalidInputTypeError,
    LinkOutputOutOfRangeError,
    LinkToMissingNodeError,
    RequiredInputMissingError,
    ReturnTypeMismatchError,
    UnknownInput,
)
from nodegraph.workflow.editor.shapes import READ_BY_NOBODY

_LONGEST_SEARCH = 100
"""The most outputs that are looked at to find the socket that one of them carries."""


@dataclass(slots=True)
class Report:
    """Problems and warnings, as they are found."""

    problems: list[NodeGraphError] = field(default_factory=list[NodeGraphError])
    warnings: list[NodeGraphError] = field(default_factory=list[NodeGraphError])

    def add(self, other: "Report", *, problems: bool) -> None:
        """Add another report, with its problems as problems or as warnings."""
        (self.problems if problems else self.warnings).extend(other.problems)
        self.warnings.extend(other.warnings)


class ReadNode(NamedTuple):
    """A node with its inputs as they will be passed, and the findings, if there are any."""

    node: Node
    report: Report | None

    @property
    def is_refused(self) -> bool:
        """True if it has problems."""
        return self.report is not None and bool(self.report.problems)


class _SpecIndex:
    """A spec, indexed by the names of its inputs."""

    def __init__(self, spec: NodeSpec) -> None:
        self.inputs = {item.name: item for item in spec.inputs}
        self.is_dynamic = is_dynamic(spec)
        self.outputs = spec.outputs
        self.spec = spec
        self.more = spec.open_inputs

    def inputs_of(self, node: Node) -> Mapping[str, InputSpec]:
        """Return the inputs that a node has by its own values."""
        if not self.is_dynamic:
            return self.inputs
        return {item.name: item for item in inputs_for(self.spec.inputs, node.inputs)}


class Inputs:
    """Reads the nodes of one graph."""

    def __init__(self, graph: Graph, catalog: Mapping[str, NodeSpec], files: Files) -> None:
        self._nodes = graph.nodes
        self._catalog = catalog
        self._suggestions = SuggestionBudget()
        self._literals = Literals(files, self._suggestions)
        self._indexes: dict[str, _SpecIndex] = {}
        self._clean = Report()

    def read(self, node: Node) -> ReadNode:
        """Convert a node's literals, fill in its defaults, and drop its unknown inputs."""
        index = self._index(node.type_name)
        report = self._clean
        if index is None:
            self._clean = Report()
            report.problems.append(self._unknown_type(node))
            return ReadNode(node, report)
        given, declared = node.inputs, index.inputs_of(node)
        inputs: dict[str, object] = {}
        known = 0
        for name, item in declared.items():
            if name in given:
                known += 1
                self._read_input(node.id, item, given[name], inputs, report)
            elif item.required:
                report.problems.append(_missing(node.id, item))
            elif item.has_default:
                inputs[name] = item.default
        if known < len(given):
            self._read_more(node, index.more, declared, inputs, report)
        checked = node if _same(inputs, given) else replace(node, inputs=inputs)
        if not report.problems and not report.warnings:
            return ReadNode(checked, None)
        self._clean = Report()
        return ReadNode(checked, report)

    def _index(self, type_name: str) -> _SpecIndex | None:
        index = self._indexes.get(type_name)
        if index is None and type_name in self._catalog:
            index = self._indexes[type_name] = _SpecIndex(self._catalog[type_name])
        return index

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
            if spec.branches:
                problem = _choice_is_linked(node_id, spec)
        elif value is None and not spec.required and not spec.has_default:
            return
        else:
            into[spec.name], problem, remark = self._literals.read(node_id, spec, value)
            if remark:
                report.warnings.append(remark)
        if problem:
            report.problems.append(problem)

    def _read_more(
        self,
        node: Node,
        socket: str,
        declared: Mapping[str, InputSpec],
        into: dict[str, object],
        report: Report,
    ) -> None:
        """Read the inputs that the spec does not name: open inputs, or else unknown ones.

        Args:
            node: the node.
            socket: of open inputs; there are none if it is empty.
            declared: the inputs that the spec names.
            into: gets the inputs as they will be passed.
            report: gets the findings.
        """
        if not socket:
            report.warnings.extend(self._unknown_inputs(node, declared))
            return
        for name, value in node.inputs.items():
            if name not in declared:
                spec = InputSpec(name=name, socket=socket, required=False)
                self._read_input(node.id, spec, value, into, report)

    def _link(self, node_id: NodeId, spec: InputSpec, link: Link) -> NodeGraphError | None:
        source = self._nodes.get(link.source)
        if source is None:
            message = f"is linked to node {short_repr(link.source)}, which does not exist."
            hint = self._suggestions.nearest(link.source, self._nodes)
            return LinkToMissingNodeError(node_id, spec.name, link, message, hint)
        index = self._index(source.type_name)
        if index is None:
            return None
        outputs = index.outputs
        if not 0 <= link.output < len(outputs):
            message = (
                f"is linked to output {link.output} of node {short_repr(link.source)}"
                f" ({source.type_name}), which has {len(outputs)}, counted from 0."
            )
            return LinkOutputOutOfRangeError(node_id, spec.name, link, message)
        carried = self._socket_carried(source, index, link.output)
        if spec.unchecked_link or carried == spec.socket or connects(carried, spec.socket):
            return None
        return _mismatch(node_id, spec, link, index.spec, carried)

    def _socket_carried(self, node: Node, index: _SpecIndex, output: int) -> str:
        """Return the socket that an output carries: its own, or what is linked to its template.

        It is `*` where nothing is linked, or different sockets, or the way there is long.
        """
        if not index.outputs[output].template:
            return index.outputs[output].socket
        found: set[str] = set()
        pending = [(node, index, output)]
        for _ in range(_LONGEST_SEARCH):
            if not pending:
                return found.pop() if len(found) == 1 else ANY
            node, index, output = pending.pop()
            template = index.outputs[output].template
            if not template:
                found.add(index.outputs[output].socket)
                continue
            for name, item in index.inputs_of(node).items():
                value = node.inputs.get(name)
                if item.template == template and isinstance(value, Link):
                    source = self._nodes.get(value.source)
                    known = self._index(source.type_name) if source else None
                    if source is None or known is None or value.output >= len(known.outputs):
                        return ANY
                    pending.append((source, known, value.output))
        return ANY

    def _unknown_type(self, node: Node) -> NodeGraphError:
        error = UnknownNodeTypeError(node.type_name, (), node_id=node.id)
        error.hint = self._suggestions.nearest(node.type_name, self._catalog) or error.hint
        return error

    def _unknown_inputs(self, node: Node, known: Mapping[str, InputSpec]) -> list[NodeGraphError]:
        message = f"is not an input of {node.type_name}, and is ignored."
        return [
            UnknownInput(node.id, name, message, self._suggestions.nearest(name, known))
            for name in node.inputs
            if name not in known and name not in READ_BY_NOBODY
        ]


def _same(inputs: Mapping[str, object], given: Mapping[str, object]) -> bool:
    """Say if no input was converted, added or dropped."""
    return inputs.keys() == given.keys() and all(map(is_, inputs.values(), given.values()))


def _choice_is_linked(node_id: NodeId, spec: InputSpec) -> NodeGraphError:
    message = "is linked, but the node's other inputs depend on it."
    few = ", ".join(repr(choice) for choice in (spec.choices or ())[:FIRST_FEW])
    return InvalidInputTypeError(node_id, spec.name, None, message, f"Choose one here: {few}.")


def _missing(node_id: NodeId, spec: InputSpec) -> NodeGraphError:
    hint = f"It takes {spec.socket}."
    if spec.has_default:
        hint = f"Its default is {spec.default!r}."
    elif spec.model_folder:
        hint = f"It names a file of models/{spec.model_folder}."
    return RequiredInputMissingError(node_id, spec.name, "is missing.", hint)


def _mismatch(
    node_id: NodeId, spec: InputSpec, link: Link, source: NodeSpec, carried: str
) -> NodeGraphError:
    fitting = [
        k
        for k, output in enumerate(source.outputs)
        if k != link.output and connects(output.socket, spec.socket)
    ]
    hint = f"Output {fitting[0]} of that node would fit." if fitting else ""
    message = (
        f"takes {spec.socket}, but output {link.output} of node {short_repr(link.source)}"
        f" ({source.name}) carries {carried}."
    )
    return ReturnTypeMismatchError(node_id, spec.name, link, message, hint, received_type=carried)
