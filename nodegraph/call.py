"""Call a node's function: once, or once an item where a link carries several."""

import asyncio
import inspect
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeGuard, cast

from nodegraph.cache.entry import Entry
from nodegraph.context import Context
from nodegraph.fingerprint import Opaque
from nodegraph.graph import Link, Node, NodeId
from nodegraph.results import Artifact, Blocked, Expansion, Ui
from nodegraph.spec import NodeSpec
from nodegraph.steps import Step

Arguments: TypeAlias = dict[str, object]


class Items(tuple[object, ...]):
    """Several values on one link: nodes downstream are called once for each."""

    __slots__ = ()


class Result(NamedTuple):
    """What one call gave."""

    outputs: tuple[object, ...]
    ui: Ui | None = None


def arguments_of(node: Node, live: Mapping[NodeId, Entry]) -> Arguments:
    """The inputs that are there: literals, and the links whose source is computed."""
    arguments: Arguments = {}
    for name, value in node.inputs.items():
        if type(value) is Link:
            entry = live.get(value.source)
            if entry is not None:
                arguments[name] = entry.outputs[value.output]
        else:
            arguments[name] = value.value if isinstance(value, Opaque) else value
    return arguments


def batches_of(arguments: Arguments, spec: NodeSpec) -> tuple[list[Arguments], bool]:
    """The arguments of every call, and whether there is one call an item.

    Shorter lists repeat their last item; if one is empty there is nothing to call for.
    """
    if spec.input_is_list:
        listed = {name: list(v) if isinstance(v, Items) else [v] for name, v in arguments.items()}
        return [dict[str, object](listed)], False
    lengths = [len(value) for value in arguments.values() if type(value) is Items]
    if not lengths:
        return [arguments], False
    count = max(lengths) if min(lengths) else 0
    return [{name: _item(v, k) for name, v in arguments.items()} for k in range(count)], True


def invoke(step: Step, arguments: Arguments, context: Context | None) -> Result | Expansion:
    """Call the function and sort what it returns.

    Raises:
        Exception: whatever it raised; or TypeError, if that is not what its type declares.
    """
    kind = step.kind
    for name in step.lazy:
        arguments.setdefault(name, None)
    if kind.context_name:
        arguments = arguments | {kind.context_name: context}
    returned = kind.function(**arguments)
    if inspect.iscoroutine(returned):
        returned = asyncio.run(cast("Coroutine[Any, Any, object]", returned))
    if isinstance(returned, Expansion):
        return returned
    if isinstance(returned, Ui):
        return Result(_check_outputs(kind.spec, returned.outputs), returned)
    return Result(_check_outputs(kind.spec, _outputs(kind.spec, returned)))


def blocked_result(arguments: Arguments, spec: NodeSpec) -> Result | None:
    """What comes of a call that an input keeps from being made; None if none does."""
    for value in arguments.values():
        items = cast("list[object]", value) if spec.input_is_list else [value]
        for item in items:
            if isinstance(item, Blocked):
                return Result(tuple(item for _ in spec.outputs))
    return None


def collect(results: Sequence[Result], spec: NodeSpec, *, mapped: bool) -> Result:
    """The results of all calls as the node's: one value an output, or `Items`."""
    if not mapped:
        outputs = results[0].outputs
        if [output for output in spec.outputs if output.is_list]:
            pairs = zip(outputs, spec.outputs, strict=True)
            outputs = tuple(_as_items(v) if out.is_list else v for v, out in pairs)
        return Result(outputs, results[0].ui)
    outputs = tuple(
        Items(item for result in results for item in _each(result.outputs[k], output.is_list))
        for k, output in enumerate(spec.outputs)
    )
    shown = [result.ui for result in results if result.ui]
    return Result(outputs, _merge_uis(shown) if shown else None)


def _item(value: object, k: int) -> object:
    return value[min(k, len(value) - 1)] if isinstance(value, Items) else value


def _outputs(spec: NodeSpec, returned: object) -> tuple[object, ...]:
    """What a function returned as a tuple of its outputs."""
    if not spec.outputs:
        return ()
    if _is_tuple(returned) and (len(spec.outputs) > 1 or _is_record_of_one(returned)):
        return tuple(returned)
    return (returned,)


def _is_record_of_one(value: tuple[object, ...]) -> bool:
    return len(value) == 1 and hasattr(value, "_fields")


def _check_outputs(spec: NodeSpec, outputs: tuple[object, ...]) -> tuple[object, ...]:
    if len(outputs) != len(spec.outputs):
        message = f"it returned {len(outputs)} values, but declares {len(spec.outputs)} outputs."
        raise TypeError(message)
    for value, output in zip(outputs, spec.outputs, strict=True):
        if output.is_list and not isinstance(value, list | tuple):
            kind = type(value).__name__
            message = f"its output {output.name!r} is declared Listed, but is {kind}."
            raise TypeError(message)
    return outputs


def _as_items(value: object) -> Items:
    if isinstance(value, Items):
        return value
    return Items(cast("Sequence[object]", value) if isinstance(value, list | tuple) else (value,))


def _each(value: object, is_list: bool) -> Sequence[object]:
    return _as_items(value) if is_list or isinstance(value, Items) else (value,)


def _merge_uis(shown: Sequence[Ui]) -> Ui:
    """What several calls show, one after the other."""
    artifacts: dict[str, list[Artifact]] = {}
    values: dict[str, list[object]] = {}
    for ui in shown:
        for kind, found in ui.artifacts.items():
            artifacts.setdefault(kind, []).extend(found)
        for kind, items in ui.values.items():
            values.setdefault(kind, []).extend(items)
    return Ui(artifacts, values)


def _is_tuple(value: object) -> TypeGuard[tuple[object, ...]]:
    return isinstance(value, tuple)
