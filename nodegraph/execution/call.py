"""Call a node's function: once, or once an item where a link carries several."""

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from types import CoroutineType
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeGuard, cast

from nodegraph.cache.entry import Entry
from nodegraph.cache.tensors import map_tensors, tensors_in
from nodegraph.definition.context import Context
from nodegraph.execution.fingerprint import Opaque
from nodegraph.execution.steps import Step
from nodegraph.graph.graph import Link, NodeId
from nodegraph.graph.results import Artifact, Blocked, Expansion, Ui
from nodegraph.graph.spec import NodeSpec

Arguments: TypeAlias = dict[str, object]


class Items(tuple[object, ...]):
    """Several values on one link: nodes downstream are called once for each."""

    __slots__ = ()
    __data__: ClassVar = True


class Result(NamedTuple):
    """The outputs of one call, and its `Ui`."""

    outputs: tuple[object, ...]
    ui: Ui | None = None


def arguments_of(step: Step, live: Mapping[NodeId, Entry]) -> Arguments:
    """Return the inputs that have a value: literals, and links whose source is computed."""
    arguments: Arguments = {}
    raw = step.kind.raw_inputs
    for name, value in step.node.inputs.items():
        if type(value) is Link:
            if raw and name in raw:
                arguments[name] = [value.source, value.output]
                continue
            entry = live.get(value.source)
            if entry is not None:
                arguments[name] = entry.outputs[value.output]
        else:
            arguments[name] = value.value if isinstance(value, Opaque) else value
    return arguments


def batches_of(arguments: Arguments, spec: NodeSpec) -> tuple[list[Arguments], bool]:
    """Return the arguments of every call, and True if there is one call for each item.

    Shorter lists repeat their last item; if one is empty, there is no call. If there is nothing
    but empty lists, a node that `runs_empty` is called once, without them, as ComfyUI does.
    """
    if spec.input_is_list:
        listed = {name: list(v) if isinstance(v, Items) else [v] for name, v in arguments.items()}
        return [dict[str, object](listed)], False
    lengths = [len(value) for value in arguments.values() if type(value) is Items]
    if not lengths:
        return [arguments], False
    if spec.runs_empty and not max(lengths) and len(lengths) == len(arguments):
        return [{}], True
    count = max(lengths) if min(lengths) else 0
    return [{name: _item(v, k) for name, v in arguments.items()} for k in range(count)], True


def invoke(step: Step, arguments: Arguments, context: Context | None) -> Result | Expansion:
    """Call the node's function and sort its result into outputs, `Ui` and expansion.

    Raises:
        Exception: anything the function raises.
        TypeError: its result does not match the declared outputs.
    """
    kind = step.kind
    for name in step.lazy:
        arguments.setdefault(name, None)
    if not kind.takes_any_device:
        arguments = bring_together(arguments, kind.host_inputs)
    arguments = kind.arguments_of(arguments)
    if kind.context_name:
        arguments = arguments | {kind.context_name: context}
    returned = kind.function(**arguments)
    if isinstance(returned, CoroutineType):
        returned = asyncio.run(cast("Coroutine[Any, Any, object]", returned))
    if isinstance(returned, Expansion):
        return returned
    if isinstance(returned, Ui):
        return Result(_check_outputs(kind.spec, returned.outputs), returned)
    return Result(_check_outputs(kind.spec, _outputs(kind.spec, returned)))


def bring_together(inputs: Arguments, staying: Collection[str]) -> Arguments:
    """Return a node's inputs on one device: unchanged unless some are on an accelerator.

    Results stay where they were computed, and files are read on the host, so a node may be given
    both. What is on the host then goes to the accelerator. Nodes of packs get that, too.

    Args:
        inputs: of one call.
        staying: the inputs whose tensors stay on the host.
    """
    movable = {name: value for name, value in inputs.items() if name not in staying}
    found = [tensor for value in movable.values() for tensor in tensors_in(value)]
    away = [tensor for tensor in found if not tensor.is_cpu]
    if len(away) in (0, len(found)):
        return inputs
    device = away[0].device

    def move(tensor: Any) -> Any:
        return tensor.to(device) if tensor.is_cpu else tensor

    return {**inputs, **{name: map_tensors(value, move) for name, value in movable.items()}}


def blocked_result(arguments: Arguments, spec: NodeSpec) -> Result | None:
    """Return the result of a call with a blocked input; None if no input is blocked."""
    values: list[object] = list(arguments.values())
    if spec.input_is_list:
        values = [item for value in values for item in cast("list[object]", value)]
    for value in values:
        if isinstance(value, Blocked):
            return Result(tuple(value for _ in spec.outputs))
    return None


def collect(results: Sequence[Result], spec: NodeSpec, *, mapped: bool) -> Result:
    """Join the results of all calls to the node's: one value for each output, or `Items`."""
    if not mapped:
        (result,) = results
        if not [output for output in spec.outputs if output.is_list]:
            return result
        pairs = zip(result.outputs, spec.outputs, strict=True)
        return Result(tuple(_as_items(v) if out.is_list else v for v, out in pairs), result.ui)
    outputs = tuple(
        Items(item for result in results for item in _each(result.outputs[k], output.is_list))
        for k, output in enumerate(spec.outputs)
    )
    shown = [result.ui for result in results if result.ui]
    return Result(outputs, _merge_uis(shown) if shown else None)


def _item(value: object, k: int) -> object:
    return value[min(k, len(value) - 1)] if isinstance(value, Items) else value


def _outputs(spec: NodeSpec, returned: object) -> tuple[object, ...]:
    """Return the outputs of a function as a tuple."""
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
    for k, output in enumerate(spec.outputs):
        if output.is_list and not isinstance(outputs[k], list | tuple):
            kind = type(outputs[k]).__name__
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
    """Join the `Ui`s of several calls, in order."""
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
