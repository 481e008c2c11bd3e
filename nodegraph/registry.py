"""Which node types exist: packs are found, described and imported here and nowhere else."""

import importlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from nodegraph.catalog import PackSource, read_catalog
from nodegraph.entry_points import entry_points
from nodegraph.errors import (
    NodeConflictError,
    NodeGraphError,
    PackError,
    UnknownNodeTypeError,
    nearest,
)
from nodegraph.pack import Pack
from nodegraph.pack_folder import packs_in
from nodegraph.places import cache_folder
from nodegraph.snapshot import PackCatalog
from nodegraph.spec import NodeSpec

if TYPE_CHECKING:
    from nodegraph.define import NodeType
    from nodegraph.settings import Settings

GROUP = "nodegraph.packs"
BUILT_IN = "nodes"


@dataclass(frozen=True, slots=True)
class LoadedPack:
    """A pack that the registry knows: its name, its version, its own model files."""

    name: str
    version: str
    root: Path
    models: Mapping[str, tuple[Path, ...]] = field(default_factory=dict[str, tuple[Path, ...]])


class Registry:
    """Node types by name; filled once at start-up and then only read.

    `catalog` is data and costs no import; `find` imports the module that a type lives in.
    """

    def __init__(
        self,
        catalogs: Iterable[tuple[LoadedPack, Sequence[NodeSpec]]] = (),
        problems: Iterable[NodeGraphError] = (),
    ) -> None:
        self.packs: list[LoadedPack] = []
        self.problems = list(problems)
        """Why packs were left out."""
        self._specs: dict[str, NodeSpec] = {}
        self._owners: dict[str, str] = {}
        self._packs: dict[str, LoadedPack] = {}
        self._types: dict[str, NodeType[..., Any]] = {}
        self._lock = threading.Lock()
        for pack, specs in catalogs:
            try:
                self._add_pack(pack, specs)
            except NodeConflictError as error:
                self.problems.append(error)

    @classmethod
    def load(
        cls,
        names: Iterable[str] | None = None,
        cache: Path | None = None,
        folder: Path | None = None,
    ) -> "Registry":
        """The installed packs and those in a folder: all of them, or those named.

        A pack that can not be described is left out and listed in `problems`; so is one with a
        node type whose name a pack before it has.

        Args:
            names: entry points of the group `nodegraph.packs`, and folders' names.
            cache: where snapshots of packs are kept; the user's cache folder if None.
            folder: holds further packs, a sub-folder each.

        Raises:
            PackError: a named pack is not there, or another distribution's `nodes` stands
                before the built-in one.
        """
        catalogs: list[tuple[LoadedPack, Sequence[NodeSpec]]] = []
        sources, problems = pack_sources(folder, names)
        for source in sources:
            if source.name == BUILT_IN:
                _check_built_in(source)
            try:
                catalog = read_catalog(source, cache or cache_folder())
            except PackError as error:
                problems.append(error)
            else:
                catalogs.append((_loaded(catalog, source), catalog.nodes))
        return cls(catalogs, problems)

    @classmethod
    def configured(cls, settings: "Settings") -> "Registry":
        """The packs that the settings name; raises what `load` raises."""
        return cls.load(settings.packs, settings.cache_dir, settings.packs_dir)

    @classmethod
    def of(cls, *types: "NodeType[..., Any]", also: "Registry | None" = None) -> "Registry":
        """A registry of just these node types, as tests and small programs want.

        Args:
            *types: the node types.
            also: another one's types, but for those of the same names.
        """
        registry = cls()
        for found in types:
            registry._add(found.spec, found.spec.module)
            registry._types[found.spec.name] = found
        for name, spec in also.catalog.items() if also else ():
            if name not in registry.catalog:
                registry._add(spec, spec.module)
        return registry

    @property
    def catalog(self) -> Mapping[str, NodeSpec]:
        """Every node type's spec by name, in the packs' order."""
        return self._specs

    @property
    def model_places(self) -> Mapping[str, tuple[Path, ...]]:
        """The packs' own model files and folders, by model folder."""
        places: dict[str, tuple[Path, ...]] = {}
        for pack in self.packs:
            for folder, paths in pack.models.items():
                places[folder] = (*places.get(folder, ()), *paths)
        return places

    def spec(self, type_name: str) -> NodeSpec:
        """The spec of a node type.

        Raises:
            UnknownNodeTypeError: no pack has it; names the nearest one.
        """
        try:
            return self._specs[type_name]
        except KeyError:
            raise UnknownNodeTypeError(type_name, self._specs) from None

    def pack_of(self, type_name: str) -> LoadedPack | None:
        """The pack that a node type comes from; None for one that comes from no pack."""
        return self._packs.get(type_name)

    def types_of(self, pack_name: str) -> list[str]:
        """The node types of a pack."""
        return [name for name, pack in self._packs.items() if pack.name == pack_name]

    def find(self, type_name: str) -> "NodeType[..., Any]":
        """A node type with its function; imports the module that holds it on first need.

        Raises:
            UnknownNodeTypeError: no pack has it.
            PackError: its module can not be imported.
        """
        spec = self.spec(type_name)
        with self._lock:
            if type_name not in self._types:
                found = import_types(spec.module, self._owners[type_name])
                self._types |= {item.spec.name: item for item in found}
        try:
            return self._types[type_name]
        except KeyError:
            message = f"the module {spec.module!r} no longer has the node type {type_name!r}."
            raise PackError(message, hint="Start again: its files have changed.") from None

    def resolve(self, reference: str) -> Callable[..., Any]:
        """The function that a spec names as `module:function`; the module must be torch-free.

        Raises:
            PackError: there is no such function.
        """
        module, _, name = reference.partition(":")
        try:
            return getattr(_import(module, reference), name)
        except AttributeError as error:
            message = f"there is no function {reference!r}."
            raise PackError(message, hint="It is written as 'module:function'.") from error

    def _add_pack(self, pack: LoadedPack, specs: Sequence[NodeSpec]) -> None:
        """All node types of a pack, or none.

        Raises:
            NodeConflictError: another pack has one of them.
        """
        owner = f"the pack {pack.name!r}"
        for spec in specs:
            self._check_free(spec.name, owner)
        self.packs.append(pack)
        for spec in specs:
            self._add(spec, owner)
            self._packs[spec.name] = pack

    def _check_free(self, name: str, owner: str) -> None:
        if name in self._specs:
            raise NodeConflictError(name, self._owners[name], owner)

    def _add(self, spec: NodeSpec, owner: str) -> None:
        self._check_free(spec.name, owner)
        self._specs[spec.name] = spec
        self._owners[spec.name] = owner


def import_pack(source: PackSource) -> Pack:
    """Import a pack's module for its `PACK`.

    Raises:
        PackError: it can not be imported, or has none.
    """
    try:
        return Pack.of(vars(_import(source.module, f"the pack {source.name!r}")))
    except (KeyError, TypeError) as error:
        message = f"the module {source.module!r} has no PACK of the class nodegraph.define.Pack."
        raise PackError(message) from error


def import_types(module: str, owner: str) -> "list[NodeType[..., Any]]":
    """Import a module for the node types that it defines, in their order.

    Raises:
        PackError: it can not be imported.
        NodeConflictError: two of them have one name.
    """
    from nodegraph.define import NodeType

    types: dict[str, NodeType[..., Any]] = {}
    for found in vars(_import(module, owner)).values():
        if not isinstance(found, NodeType):
            continue
        value = cast("NodeType[..., Any]", found)
        if value.spec.module != module:
            continue
        if types.setdefault(value.spec.name, value) is not value:
            raise NodeConflictError(value.spec.name, module, module)
    return list(types.values())


def _import(module: str, wanted_by: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:  # A pack is foreign code: anything may happen.
        message = f"{module!r}, of {wanted_by}, fails: {type(error).__name__}: {error}"
        raise PackError(message, hint="Mend or uninstall the pack.") from error


def pack_sources(
    folder: Path | None = None, names: Iterable[str] | None = None
) -> tuple[list[PackSource], list[NodeGraphError]]:
    """The packs that are installed or in a folder, all or those named, and what is no pack there.

    The built-in one comes first, the others in the order of their names.

    Raises:
        PackError: a named pack is not there.
    """
    placed, problems = packs_in(folder) if folder else ([], [])
    found = {source.name: source for source in placed}
    found |= {name: PackSource(name, module) for name, module in entry_points(GROUP).items()}
    ordered = sorted(found, key=lambda name: (name != BUILT_IN, name))
    for name in names or ():
        if name not in found:
            message = f"no pack {name!r} is installed or in the packs folder."
            raise PackError(message, hint=nearest(name, found))
    chosen = ordered if names is None else dict.fromkeys(names)
    return [found[name] for name in chosen], problems


def _check_built_in(source: PackSource) -> None:
    """Other distributions install a module called `nodes` too; ours lies beside this one."""
    expected = Path(__file__).resolve().parent.parent / "nodes"
    actual = source.origin().resolve()
    if actual.parent != expected:
        message = f"Python finds another module called 'nodes', at {actual}, before nodegraph's."
        hint = (
            "Uninstall it (pip uninstall nodes), or install nodegraph in an environment of its own."
        )
        raise PackError(message, hint=hint)


def _loaded(catalog: PackCatalog, source: PackSource) -> LoadedPack:
    root = source.origin().parent
    return LoadedPack(catalog.name, catalog.version, root, catalog.paths(root))
