"""Compare our node types to those in another server's `/object_info`.

A node type is alike if a workflow written for the one means the same to the other, and if an
editor shows it alike: inputs, ranges, defaults, choices, outputs, category.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from nodegraph.files.files import Files
from nodegraph.graph.spec import InputSpec, NodeSpec
from nodegraph.packs.object_info import object_info

Entry: TypeAlias = Mapping[str, Any]
"""One node type as `/object_info` describes it."""
_FLAGS = ("output_node", "deprecated", "experimental")
_GROUPS = ("required", "optional")
_UNSEEN = ("tooltip", "multiselect")
"""Options of an input that change nothing."""
_MOST = 6


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of a comparison."""

    offered: tuple[str, ...]
    """The types that both have, alike or not."""
    different: Mapping[str, tuple[str, ...]]
    """The types that both have but not alike, each with its differences."""
    missing: Mapping[str, str]
    """The types that only they have, with their categories."""
    own: tuple[str, ...]
    """The types that only we have."""


def compare(
    catalog: Mapping[str, NodeSpec], theirs: Mapping[str, Entry], files: Files
) -> Comparison:
    """Compare our node types to another server's."""
    offered = tuple(name for name in theirs if name in catalog)
    found = {name: tuple(differences(catalog[name], theirs[name], files)) for name in offered}
    return Comparison(
        offered=offered,
        different={name: lines for name, lines in found.items() if lines},
        missing={n: str(e.get("category", "")) for n, e in theirs.items() if n not in catalog},
        own=tuple(name for name in catalog if name not in theirs),
    )


def differences(spec: NodeSpec, theirs: Entry, files: Files) -> Iterator[str]:
    """Yield the differences of a node type from theirs, a line each; folders' files are ignored."""
    ours = object_info(spec, files)
    for group in _GROUPS:
        yield from _inputs(spec, group, ours, theirs)
    hidden = [_hidden_inputs(entry) for entry in (ours, theirs)]
    yield from _unequal("hidden inputs", *hidden)
    for part in ("output", "output_name", "output_is_list"):
        yield from _unequal(part, ours[part], theirs[part])
    yield from _unequal("category", ours["category"], theirs["category"])
    yield from _unequal("title", *(e["display_name"] or e["name"] for e in (ours, theirs)))
    for flag in _FLAGS:
        yield from _unequal(flag, bool(ours.get(flag)), bool(theirs.get(flag)))


def _inputs(spec: NodeSpec, group: str, ours: Entry, theirs: Entry) -> Iterator[str]:
    own, other = _group(ours, group), _group(theirs, group)
    if list(own) != list(other):
        yield f"{group} inputs {_join_names(own)}, not {_join_names(other)}"
    for name in own.keys() & other.keys():
        (kind, options), (their_kind, their_options) = _input(own[name]), _input(other[name])
        if isinstance(kind, list) and isinstance(their_kind, list):
            lists = cast("list[str]", kind), cast("list[str]", their_kind)
            yield from _choices(name, *_without_files(spec.input(name), *lists))
        else:
            yield from _unequal(f"input {name!r}", cast("object", kind), their_kind)
        yield from _unequal(f"input {name!r}", options, their_options)


def _without_files(
    spec: InputSpec | None, ours: list[str], theirs: list[str]
) -> tuple[list[str], list[str]]:
    """Return the choices that do not depend on the files of a folder."""
    if spec is None or not (spec.model_folder or spec.input_file):
        return ours, theirs
    fixed = list(spec.choices or ())
    return fixed, [choice for choice in theirs if choice in fixed]


def _choices(name: str, ours: list[str], theirs: list[str]) -> Iterator[str]:
    lacking = [choice for choice in theirs if choice not in ours]
    further = [choice for choice in ours if choice not in theirs]
    if lacking:
        yield f"input {name!r} lacks {_join_names(lacking)}"
    if further:
        yield f"input {name!r} has besides {_join_names(further)}"
    if [c for c in ours if c in theirs] != [c for c in theirs if c in ours]:
        yield f"input {name!r} has its choices in another order"


def _unequal(what: str, ours: object, theirs: object) -> Iterator[str]:
    if ours != theirs:
        yield f"{what} is {ours}, not {theirs}"


def _group(entry: Entry, group: str) -> Mapping[str, Any]:
    """Return the inputs of a group, in the editor's order."""
    inputs: Mapping[str, Any] = entry["input"].get(group) or {}
    orders: Mapping[str, list[str]] = entry.get("input_order") or {}
    order = orders.get(group, list(inputs))
    return {name: inputs[name] for name in order if name in inputs}


def _hidden_inputs(entry: Entry) -> Mapping[str, object]:
    """Return the hidden inputs, from either of two spellings: `PROMPT` and `[PROMPT]`."""
    group: dict[str, object] = {}
    for name, kind in _group(entry, "hidden").items():
        group[name] = cast("list[object]", kind)[0] if isinstance(kind, list) else kind
    return group


def _input(value: object) -> tuple[object, Mapping[str, object]]:
    """Return the socket or list of choices, and the options, from either of two spellings."""
    kind, *rest = cast("list[Any]", value)
    options: dict[str, object] = dict(rest[0]) if rest else {}
    for key in _UNSEEN:
        options.pop(key, None)
    return (options.pop("options", []) if kind == "COMBO" else kind), options


def _join_names(names: Iterable[str]) -> str:
    every = [str(name) for name in names]
    more = f" and {len(every) - _MOST} more" if len(every) > _MOST else ""
    return (", ".join(every[:_MOST]) or "none") + more
