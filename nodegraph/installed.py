"""The packs that are there: installed, or in a folder; with what their catalogs say of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from nodegraph.catalog import PackSource, read_catalog
from nodegraph.entry_points import entry_points
from nodegraph.errors import NodeConflictError, NodeGraphError, PackError, nearest
from nodegraph.folders import inside
from nodegraph.pack_folder import packs_in
from nodegraph.places import cache_folder
from nodegraph.snapshot import PackCatalog
from nodegraph.spec import NodeSpec

GROUP = "nodegraph.packs"
BUILT_IN = "nodes"


@dataclass(frozen=True, slots=True)
class LoadedPack:
    """A pack that the registry knows: its name, its version, its own model files."""

    name: str
    version: str
    root: Path
    models: Mapping[str, tuple[Path, ...]] = field(default_factory=dict[str, tuple[Path, ...]])
    web: Path | None = None
    """The folder with its scripts for the editor."""
    module: str = ""
    digest: str = ""
    """Of its source files."""


class Places(NamedTuple):
    """Where packs are looked for."""

    names: tuple[str, ...] | None = None
    """Entry points of the group `nodegraph.packs`, and folders' names; all if None."""
    cache: Path | None = None
    """Where snapshots of packs are kept; the user's cache folder if None."""
    folder: Path | None = None
    """Holds further packs, a sub-folder each."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Node types and where they come from."""

    packs: list[LoadedPack] = field(default_factory=list[LoadedPack])
    problems: list[NodeGraphError] = field(default_factory=list[NodeGraphError])
    """Why packs were left out."""
    specs: dict[str, NodeSpec] = field(default_factory=dict[str, NodeSpec])
    owners: dict[str, str] = field(default_factory=dict[str, str])
    """Who declares each type, in words."""
    origins: dict[str, LoadedPack] = field(default_factory=dict[str, LoadedPack])
    """The pack that each type comes from."""

    def add_pack(self, pack: LoadedPack, specs: Sequence[NodeSpec]) -> None:
        """All node types of a pack, or none.

        Raises:
            NodeConflictError: another pack has one of them.
        """
        owner = f"the pack {pack.name!r}"
        for spec in specs:
            self._check_free(spec.name, owner)
        self.packs.append(pack)
        for spec in specs:
            self.add(spec, owner)
            self.origins[spec.name] = pack

    def add(self, spec: NodeSpec, owner: str) -> None:
        """One node type.

        Raises:
            NodeConflictError: there is one of its name.
        """
        self._check_free(spec.name, owner)
        self.specs[spec.name] = spec
        self.owners[spec.name] = owner

    def _check_free(self, name: str, owner: str) -> None:
        if name in self.specs:
            raise NodeConflictError(name, self.owners[name], owner)


def contents_of(places: Places) -> Contents:
    """The packs that are there; those that can not be used are left out, and their reasons listed.

    Raises:
        PackError: a named pack is not there, or another distribution's `nodes` stands before
            the built-in one.
    """
    sources, problems = pack_sources(places.folder, places.names)
    contents = Contents(problems=problems)
    for source in sources:
        if source.name == BUILT_IN:
            _check_built_in(source)
        try:
            catalog = read_catalog(source, places.cache or cache_folder())
            contents.add_pack(_loaded(catalog, source), catalog.nodes)
        except (PackError, NodeConflictError) as error:
            problems.append(error)
    return contents


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
    return LoadedPack(
        name=catalog.name,
        version=catalog.version,
        root=root,
        models=catalog.paths(root),
        web=inside(root, catalog.web) if catalog.web else None,
        module=source.module,
        digest=catalog.digest,
    )
