"""The registry of node types."""

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodegraph.errors import NodeGraphError, PackError, UnknownNodeTypeError
from nodegraph.graph.graph import Link
from nodegraph.graph.spec import NodeSpec
from nodegraph.packs.installed import (
    BUILT_IN,
    Contents,
    LoadedPack,
    Places,
    contents_of,
    hosted_packs,
    new_packs,
    pack_sources,
)
from nodegraph.packs.loading import forget, import_named, import_types
from nodegraph.packs.routes import PackServer

if TYPE_CHECKING:
    from nodegraph.definition.node import NodeType
    from nodegraph.packs.catalog import PackSource
    from nodegraph.packs.describer import PackReader
    from nodegraph.settings.settings import Settings


class Registry:
    """Node types by name; filled at start-up, and then only read, unless `refresh` is called.

    `catalog` is data and costs no import; `find` imports the module that a type lives in.

    Args:
        places: where packs are looked for; there are none if None.
    """

    def __init__(self, places: Places | None = None) -> None:
        self._places = places
        self._contents = contents_of(places) if places else Contents()
        self._types: dict[str, NodeType[..., Any]] = {}
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        names: Iterable[str] | None = None,
        cache: Path | None = None,
        folder: Path | None = None,
    ) -> "Registry":
        """Load the installed packs and those in a folder: all of them, or those named.

        A pack that can not be described is left out and listed in `problems`; so is a node type
        whose name a pack before it has.

        Args:
            names: entry points of the group `nodegraph.packs`, and folders' names.
            cache: where snapshots of packs are kept; the user's cache folder if None.
            folder: holds further packs, a sub-folder each.

        Raises:
            PackError: a named pack is not there, or another distribution's `nodes` stands
                before the built-in one.
        """
        return cls(Places(None if names is None else tuple(names), cache, folder))

    @classmethod
    def from_settings(
        cls, settings: "Settings", server: PackServer | None = None, *, later: bool = False
    ) -> "Registry":
        """Load the packs that the settings name; raises what `load` raises.

        Args:
            settings: all of them.
            server: gets packs' routes and messages; one that reaches nobody if None.
            later: do not wait for packs of other programs that have yet to be described:
                `pending` lists them, and `refresh` adds those that have been described since.
        """
        hosted = partial(hosted_packs, settings, server or PackServer())
        packs, patience = settings.packs, settings.pack_patience
        later = later and _can_write(settings.cache_dir)  # Or nothing would be remembered.
        return cls(Places(packs, settings.cache_dir, settings.packs_dir, hosted, patience, later))

    @classmethod
    def from_types(cls, *types: "NodeType[..., Any]", also: "Registry | None" = None) -> "Registry":
        """Make a registry of just these node types, for tests and small programs.

        Args:
            *types: the node types.
            also: another one's types, but for those of the same names.
        """
        registry = cls()
        for found in types:
            registry._contents.add(found.spec, found.spec.module)
            registry._types[found.spec.name] = found
        for name, spec in also.catalog.items() if also else ():
            if name not in registry.catalog:
                registry._contents.add(spec, spec.module)
        return registry

    @classmethod
    def from_specs(cls, specs: Iterable[NodeSpec], owner: str) -> "Registry":
        """Make a registry of specs whose functions are elsewhere, so that `find` finds none.

        Args:
            specs: the specs, each of another name.
            owner: the place of their functions, in words.
        """
        registry = cls()
        for spec in specs:
            registry._contents.add(spec, owner)
        return registry

    @property
    def catalog(self) -> Mapping[str, NodeSpec]:
        """Every node type's spec by name, in the packs' order."""
        return self._contents.specs

    @property
    def packs(self) -> list[LoadedPack]:
        """The packs that the node types come from."""
        return self._contents.packs

    @property
    def problems(self) -> list[NodeGraphError]:
        """Why packs were left out."""
        return self._contents.problems

    @property
    def pending(self) -> list[str]:
        """The packs that have yet to be described."""
        return self._contents.pending

    def new_packs(self) -> "tuple[list[PackSource], PackReader]":
        """The packs of other programs that are not remembered as they are now, and their reader.

        Raises:
            PackError: a named pack is not there.
        """
        from nodegraph.packs.describer import PackReader  # Here: most starts do without.

        places = self._places or Places()
        found = new_packs(places) if self._places else []
        return found, PackReader(places.catalogs, places.patience)

    @property
    def left_out(self) -> Mapping[str, str]:
        """Why node types of packs can not be used, by type."""
        return {
            name: f"the pack {pack.name!r} has it, but can not declare it here: {reason}"
            for pack in self.packs
            for name, reason in pack.left_out.items()
        }

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
            return self.catalog[type_name]
        except KeyError:
            raise UnknownNodeTypeError(type_name, self.catalog) from None

    def pack_of(self, type_name: str) -> LoadedPack | None:
        """The pack that a node type comes from; None for one that comes from no pack."""
        return self._contents.origins.get(type_name)

    def types_of(self, pack_name: str) -> list[str]:
        """The node types of a pack."""
        origins = self._contents.origins
        return [name for name, pack in origins.items() if pack.name == pack_name]

    def find(self, type_name: str) -> "NodeType[..., Any]":
        """A node type with its function; imports the module that holds it on first need.

        Raises:
            UnknownNodeTypeError: no pack has it.
            PackError: its module can not be imported.
        """
        with self._lock:
            spec = self.spec(type_name)
            if type_name not in self._types:
                found = import_types(spec.module, self._contents.owners[type_name])
                self._types |= {
                    item.spec.name: self._with_catalog_spec(item)
                    for item in found
                    if self._is_its(item)
                }
        try:
            return self._types[type_name]
        except KeyError:
            message = f"the module {spec.module!r} no longer has the node type {type_name!r}."
            raise PackError(message, hint="Start again: its files have changed.") from None

    def import_choices(self, spec: NodeSpec, inputs: Mapping[str, object]) -> str:
        """Import the packs that register what a node's inputs choose, so that it is there.

        For an input that is linked these are all packs that add to its choices.

        Args:
            spec: of the node's type.
            inputs: the node's literals and links.

        Returns:
            A text that changes with these packs' code; empty without any.

        Raises:
            PackError: one of them can not be imported.
        """
        packs: dict[str, LoadedPack] = {}
        for item in spec.inputs:
            added = self._contents.added.get(item.registered, {})
            value = inputs.get(item.name)
            chosen = [added[value]] if isinstance(value, str) and value in added else ()
            packs |= {
                pack.name: pack for pack in (added.values() if isinstance(value, Link) else chosen)
            }
        for pack in packs.values():
            import_named(pack.module, f"the pack {pack.name!r}")
        return " ".join(f"{name} {packs[name].digest}" for name in sorted(packs))

    def resolve(self, reference: str) -> Callable[..., Any]:
        """The function that a spec names as `module:function`; the module must be torch-free.

        Raises:
            PackError: there is no such function.
        """
        module, _, name = reference.partition(":")
        try:
            return getattr(import_named(module, reference), name)
        except AttributeError as error:
            message = f"there is no function {reference!r}."
            raise PackError(message, hint="It is written as 'module:function'.") from error

    def roots(self) -> list[Path]:
        """The packs folder, and the folders of packs elsewhere but of the built-in one.

        Raises:
            PackError: a named pack is not there.
        """
        if self._places is None:
            return []
        hosted, _ = self._places.hosted()
        sources, _ = pack_sources(self._places.folder, self._places.names, hosted)
        found = [self._places.folder] if self._places.folder else []
        for source in sources:
            with suppress(PackError):  # What is not there can not change.
                root = source.origin().parent
                if source.name != BUILT_IN and root.parent not in found:
                    found.append(root)
        return found

    def refresh(self) -> list[str]:
        """Read the packs again whose files have changed, or came, or went; their names.

        Runs that are under way keep the node types that they began with.
        """
        if self._places is None:
            return []
        fresh = contents_of(self._places)
        before = {pack.name: pack for pack in self.packs}
        after = {pack.name: pack for pack in fresh.packs}
        changed = [
            name for name in sorted({*before, *after}) if before.get(name) != after.get(name)
        ]
        with self._lock:
            for name in changed:
                for pack in (before.get(name), after.get(name)):
                    if pack:
                        forget(pack.module)
            same = {
                name
                for name, pack in fresh.origins.items()
                if pack.name not in changed and pack == self._contents.origins.get(name)
            }
            self._types = {name: kind for name, kind in self._types.items() if name in same}
            self._contents = fresh
        return changed

    def _is_its(self, found: "NodeType[..., Any]") -> bool:
        """Say if the catalog's type of this name is this one; another pack may have it."""
        spec = self.catalog.get(found.spec.name)
        return spec is None or spec.module == found.spec.module

    def _with_catalog_spec(self, found: "NodeType[..., Any]") -> "NodeType[..., Any]":
        """A node type with the spec that the catalog has of it."""
        spec = self.catalog.get(found.spec.name)
        revised = spec is not None and spec.revision and spec.module == found.spec.module
        return replace(found, spec=spec) if revised else found


def _can_write(folder: Path) -> bool:
    """Say if files can be written to a folder, which is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
