"""All that a workflow needs and that is not here, as a person goes about it: packs, then models."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nodegraph.errors import NodeGraphError, UnknownNodeTypeError
from nodegraph.graph.graph import NodeId
from nodegraph.validation.known_packs import plain_name
from nodegraph.validation.problems import ValueNotInListError
from nodegraph.validation.providers import ModelOrigin, PackOrigin, Providers


@dataclass(frozen=True, slots=True)
class MissingType:
    """A node type that is not here, and the nodes of it."""

    name: str
    nodes: tuple[NodeId, ...]
    hint: str


@dataclass(frozen=True, slots=True)
class MissingPack:
    """A pack that is not here, and the types that the workflow uses of it."""

    origin: PackOrigin
    types: tuple[MissingType, ...]
    left_out: str = ""
    """Why the pack was left out, if it is in its folder all the same."""


@dataclass(frozen=True, slots=True)
class MissingModel:
    """A model file that is not here, and the nodes that name it."""

    name: str
    folder: str
    """The model folder that it was looked for in, such as `loras`."""
    nodes: tuple[NodeId, ...]
    hint: str
    origin: ModelOrigin | None


@dataclass(frozen=True, slots=True)
class Missing:
    """All that is not here."""

    packs: tuple[MissingPack, ...]
    newer: MissingPack | None
    """ComfyUI's own node types that nodegraph has not."""
    types: tuple[MissingType, ...]
    """Node types of no known pack."""
    models: tuple[MissingModel, ...]

    def __bool__(self) -> bool:
        """True if anything is missing."""
        return bool(self.packs or self.newer or self.types or self.models)

    @property
    def summary(self) -> str:
        """A sentence that counts it, such as "2 packs and 1 newer node are missing."."""
        newer = len(self.newer.types) if self.newer else 0
        counts = [
            (len(self.packs), "pack"),
            (len(self.types), "node type"),
            (len(self.models), "model"),
            (newer, "newer node"),
        ]
        named = [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts if count]
        few = " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))
        alone = sum(count for count, _ in counts) == 1
        return f"{few} {'is' if alone else 'are'} missing."

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON."""
        return {
            "summary": self.summary if self else "",
            "packs": [_pack_data(pack) for pack in self.packs],
            "newer_nodes": [_type_data(item) for item in (self.newer.types if self.newer else ())],
            "node_types": [_type_data(item) for item in self.types],
            "models": [
                {
                    "name": model.name,
                    "folder": model.folder,
                    "nodes": list(model.nodes),
                    "url": model.origin.url if model.origin else "",
                    "hint": model.hint,
                }
                for model in self.models
            ],
        }


def is_missing(problem: NodeGraphError) -> bool:
    """Say if a problem is that a node type or a model is not here."""
    if isinstance(problem, ValueNotInListError):
        return bool(problem.details.get("model_folder"))
    return isinstance(problem, UnknownNodeTypeError)


def missing_in(
    problems: Iterable[NodeGraphError],
    providers: Providers,
    left_out: Iterable[NodeGraphError] = (),
) -> Missing:
    """Sort out what is missing, each thing once, in the order of the problems.

    Args:
        problems: everything that is wrong with a graph.
        providers: the origins that its file names.
        left_out: the errors of packs that are there but can not be used.
    """
    wanted = [problem for problem in problems if is_missing(problem)]
    types = _group(problem for problem in wanted if isinstance(problem, UnknownNodeTypeError))
    by_pack: dict[str, list[MissingType]] = {}
    origins: dict[str, PackOrigin | None] = {}
    for (name,), found in types.items():
        origin = providers.pack_of(name)
        key = origin.address if origin else ""
        origins.setdefault(key, origin)
        by_pack.setdefault(key, []).append(MissingType(name, _ids(found), found[0].hint))
    reasons = {plain_name(name): error.message for error in left_out if (name := _pack(error))}
    packs = [
        MissingPack(origin, tuple(by_pack[key]), _reason(origin, reasons))
        for key, origin in origins.items()
        if origin
    ]
    models = _group(problem for problem in wanted if isinstance(problem, ValueNotInListError))
    return Missing(
        tuple(pack for pack in packs if not pack.origin.is_comfyui),
        next((pack for pack in packs if pack.origin.is_comfyui), None),
        tuple(by_pack.get("", ())),
        tuple(
            MissingModel(name, folder, _ids(found), found[0].hint, providers.models.get(name))
            for (name, folder), found in models.items()
        ),
    )


def _group(
    problems: Iterable[NodeGraphError],
) -> Mapping[tuple[str, ...], Sequence[NodeGraphError]]:
    """Group problems by the type, or by the model and its folder."""
    found: dict[tuple[str, ...], list[NodeGraphError]] = {}
    for problem in problems:
        details = problem.details
        if isinstance(problem, UnknownNodeTypeError):
            key = (str(details.get("class_type")),)
        else:
            key = (str(details.get("received_value")), str(details.get("model_folder")))
        found.setdefault(key, []).append(problem)
    return found


def _ids(problems: Iterable[NodeGraphError]) -> tuple[NodeId, ...]:
    return tuple(dict.fromkeys(problem.node_id for problem in problems if problem.node_id))


def _pack(error: NodeGraphError) -> str:
    name = error.details.get("pack")
    return name if isinstance(name, str) else ""


def _reason(origin: PackOrigin, reasons: Mapping[str, str]) -> str:
    names = (plain_name(name) for name in (origin.folder, origin.name) if name)
    return next((reasons[name] for name in names if name in reasons), "")


def _type_data(item: MissingType) -> dict[str, object]:
    return {"class_type": item.name, "nodes": list(item.nodes), "hint": item.hint}


def _pack_data(pack: MissingPack) -> dict[str, object]:
    return {
        "name": pack.origin.name,
        "address": pack.origin.address,
        "version": pack.origin.version,
        "left_out": pack.left_out,
        "node_types": [_type_data(item) for item in pack.types],
    }
