"""The packs that are there: installed, or in a folder; with what their catalogs say of them."""

import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from nodegraph.errors import NodeConflictError, NodeGraphError, PackError, nearest
from nodegraph.files.folders import inside
from nodegraph.files.user_dirs import cache_folder
from nodegraph.graph.spec import InputSpec, NodeSpec
from nodegraph.packs.catalog import OWN_PATIENCE, PackSource, remembered_catalog
from nodegraph.packs.routes import PackServer
from nodegraph.packs.snapshot import PackCatalog
from nodegraph.runtime.choices import PATIENCE
from nodegraph.runtime.entry_points import all_entry_points, entry_points

if TYPE_CHECKING:
    from nodegraph.settings.settings import Settings

GROUP = "nodegraph.packs"
HOSTS = "nodegraph.pack_hosts"
BUILT_IN = "nodes"
MOST_REASONS = 3
"""The most packs whose reasons are told in full where they are not asked for."""
Found: TypeAlias = tuple[list[PackSource], list[NodeGraphError]]
"""The packs that were found, and the errors where a pack should be."""


@dataclass(frozen=True, slots=True)
class LoadedPack:
    """A pack that the registry knows: its name, its version, its own model files."""

    name: str
    version: str
    root: Path
    models: Mapping[str, tuple[Path, ...]] = field(default_factory=dict[str, tuple[Path, ...]])
    web: Path | None = None
    """The folder with its scripts for the editor."""
    routes: tuple[str, ...] = ()
    """The routes that it handles itself; see `Pack.routes`."""
    folders: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """The folders that are served under paths; see `Pack.folders`."""
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    """Why node types of it can not be used, by type."""
    changes_prompts: bool = False
    """True if it changes prompts before they are queued; see `Pack.changes_prompts`."""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """See `Pack.choices`."""
    module: str = ""
    digest: str = ""
    """The hash of its source files."""
    without: tuple[str, ...] = ()
    """The modules that it looked for in vain when it was imported, and went on without."""
    python: str = ""
    """The program of its own environment; empty if it has none."""

    @property
    def folder(self) -> Path | None:
        """The pack's own folder; None if it is a single file."""
        return self.root if (self.root / "__init__.py").is_file() else None


def nothing() -> Found:
    """No packs that were written for another program."""
    return [], []


class Places(NamedTuple):
    """Where packs are looked for."""

    names: tuple[str, ...] | None = None
    """Entry points of the group `nodegraph.packs`, and folders' names; all if None."""
    cache: Path | None = None
    """The folder for snapshots of packs; the user's cache folder if None."""
    folder: Path | None = None
    """Holds further packs, a sub-folder each."""
    hosted: "Callable[[], Found]" = nothing
    """Finds packs that were written for another program."""
    patience: float = PATIENCE
    """The most seconds that the import of a pack may take."""
    later: bool = False
    """If True, packs of other programs that have yet to be described are only listed."""

    @property
    def catalogs(self) -> Path:
        """The folder for snapshots of packs."""
        return self.cache or cache_folder()


@dataclass(frozen=True, slots=True)
class Contents:
    """Node types and where they come from."""

    packs: list[LoadedPack] = field(default_factory=list[LoadedPack])
    problems: list[NodeGraphError] = field(default_factory=list[NodeGraphError])
    """The reasons why packs were left out."""
    specs: dict[str, NodeSpec] = field(default_factory=dict[str, NodeSpec])
    owners: dict[str, str] = field(default_factory=dict[str, str])
    """The pack that declares each type, in words."""
    origins: dict[str, LoadedPack] = field(default_factory=dict[str, LoadedPack])
    """The pack that each type comes from."""
    pending: list[str] = field(default_factory=list[str])
    """The packs that have yet to be described."""
    added: dict[str, dict[str, LoadedPack]] = field(
        default_factory=dict[str, dict[str, LoadedPack]]
    )
    """The pack that adds each name to the choices of other packs' nodes, by kind and name."""

    def add_pack(self, pack: LoadedPack, specs: Sequence[NodeSpec]) -> None:
        """A pack's node types but for those that another pack has; that is noted as a problem.

        A type that gives way is no problem: of the two, the other one is kept.
        """
        owner = f"the pack {pack.name!r}"
        self.packs.append(pack)
        for spec in specs:
            if spec.gives_way and spec.name in self.specs:
                continue
            try:
                self.add(spec, owner)
            except NodeConflictError as error:
                self.problems.append(error)
            else:
                self.origins[spec.name] = pack

    def add(self, spec: NodeSpec, owner: str) -> None:
        """One node type.

        Raises:
            NodeConflictError: there is one of its name, which does not give way.
        """
        if spec.name in self.specs and not self.specs[spec.name].gives_way:
            raise NodeConflictError(spec.name, self.owners[spec.name], owner)
        self.specs[spec.name] = spec
        self.owners[spec.name] = owner

    def offer_choices(self) -> None:
        """Add the names that packs register to the choices of all nodes that offer such.

        Of two packs that register the same name it is the first one's.
        """
        for pack in self.packs:
            for kind, names in pack.choices.items():
                known = self.added.setdefault(kind, {})
                known.update({name: pack for name in names if name not in known})
        for name, spec in self.specs.items():
            if any(item.registered in self.added for item in spec.inputs):
                inputs = tuple(_with_choices(item, self.added) for item in spec.inputs)
                self.specs[name] = replace(spec, inputs=inputs)


def _with_choices(item: InputSpec, added: Mapping[str, Mapping[str, LoadedPack]]) -> InputSpec:
    if item.choices is None or item.registered not in added:
        return item
    return replace(item, choices=tuple(dict.fromkeys([*item.choices, *added[item.registered]])))


def contents_of(places: Places) -> Contents:
    """The packs that are there; those that can not be used are left out, and their reasons listed.

    Raises:
        PackError: a named pack is not there, or another distribution's `nodes` stands before
            the built-in one.
    """
    hosted, hosts_problems = places.hosted()
    sources, problems = pack_sources(places.folder, places.names, hosted)
    problems += hosts_problems
    contents = Contents(problems=problems)
    for source in sources:
        if source.name == BUILT_IN:
            _check_built_in(source)
    results = {source.name: _recall(source, places) for source in sources}
    fresh = [source for source in sources if results[source.name] is None]
    if places.later:
        contents.pending.extend(source.name for source in fresh if source.host)
    fresh = [source for source in fresh if source.name not in contents.pending]
    results |= {source.name: result for source, result in _describe(fresh, places)}
    for source in sources:
        catalog = results[source.name]
        if isinstance(catalog, PackError):
            problems.append(catalog)
        elif catalog is not None:
            contents.add_pack(_loaded_pack(catalog, source), catalog.nodes)
    contents.offer_choices()
    return contents


def new_packs(places: Places) -> list[PackSource]:
    """The packs of other programs that are not remembered as their files are now.

    Raises:
        PackError: a named pack is not there.
    """
    hosted, _ = places.hosted()
    sources, _ = pack_sources(places.folder, places.names, hosted)
    return [each for each in sources if each.host and _recall(each, places) is None]


def _recall(source: PackSource, places: Places) -> PackCatalog | PackError | None:
    patience = OWN_PATIENCE if source.name == BUILT_IN else places.patience
    try:
        return remembered_catalog(source, places.catalogs, patience)
    except PackError as error:
        error.details = {**error.details, "pack": source.name}
        return error


def _describe(
    sources: Sequence[PackSource], places: Places
) -> Iterable[tuple[PackSource, PackCatalog | PackError]]:
    if not sources:
        return ()
    from nodegraph.packs.describer import PackReader  # Here: most starts do without.

    own = [source for source in sources if source.name == BUILT_IN]
    others = [source for source in sources if source.name != BUILT_IN]
    return [
        *PackReader(places.catalogs, OWN_PATIENCE).read(own),
        *PackReader(places.catalogs, places.patience).read(others),
    ]


def hosted_packs(settings: "Settings", server: PackServer) -> Found:
    """The packs that were written for another program, by whoever can run them."""
    found: Found = ([], [])
    if settings.custom_nodes_dir.is_dir():
        for place in entry_points(HOSTS).values():
            find = cast("Callable[[Settings, PackServer], Found]", resolve_name(place))
            sources, problems = find(settings, server)
            found[0].extend(sources)
            found[1].extend(problems)
    return found


def problem_lines(problems: Sequence[NodeGraphError]) -> list[str]:
    """The reasons why packs were left out, as text; only their names if there are many."""
    names = [str(error.details["pack"]) for error in problems if "pack" in error.details]
    if len(names) <= MOST_REASONS:
        return [str(problem) for problem in problems]
    lines = [str(problem) for problem in problems if "pack" not in problem.details]
    told = ", ".join(names)
    summary = f"{len(names)} packs are left out: {told}. `nodegraph packs list` says why."
    return [*lines, summary]


def pack_sources(
    folder: Path | None = None,
    names: Iterable[str] | None = None,
    hosted: Iterable[PackSource] = (),
) -> Found:
    """The packs that are installed or in a folder, all or those named, and what is no pack there.

    The built-in one comes first, the others in the order of their names, hosted ones last. Entry
    points in groups such as `nodes.samplers` add to the pack in the module `nodes`.

    Raises:
        PackError: a named pack is not there.
    """
    placed, problems = packs_in(folder) if folder else ([], [])
    found = {source.name: source for source in (*hosted, *placed)}
    groups = all_entry_points()
    for name, module in groups.get(GROUP, {}).items():
        added = {group: groups[group] for group in groups if group.startswith(f"{module}.")}
        found[name] = PackSource(name, module, salt=str(added) if added else "")
    ordered = sorted(found, key=lambda name: (name != BUILT_IN, found[name].host, name))
    for name in names or ():
        if name not in found:
            message = f"no pack {name!r} is installed or in the packs folder."
            raise PackError(message, hint=nearest(name, found))
    chosen = ordered if names is None else dict.fromkeys(names)
    return [found[name] for name in chosen], problems


def _check_built_in(source: PackSource) -> None:
    """Other distributions install a module called `nodes` too; ours lies beside this one."""
    expected = Path(__file__).resolve().parent.parent.parent / "nodes"
    actual = source.origin().resolve()
    if actual.parent != expected:
        message = f"Python finds another module called 'nodes', at {actual}, before nodegraph's."
        hint = (
            "If it is a file of yours, rename it, or run nodegraph from another folder. If it is "
            "installed, uninstall it (pip uninstall nodes), or install nodegraph in an environment "
            "of its own."
        )
        raise PackError(message, hint=hint)


def _loaded_pack(catalog: PackCatalog, source: PackSource) -> LoadedPack:
    root = source.origin().parent
    return LoadedPack(
        name=catalog.name,
        version=catalog.version,
        root=root,
        models=catalog.paths(root),
        web=inside(root, catalog.web) if catalog.web else None,
        routes=catalog.routes,
        folders={path: root / folder for path, folder in catalog.folders.items()},
        left_out=catalog.left_out,
        changes_prompts=catalog.changes_prompts,
        choices={} if source.python else catalog.choices,  # Their functions are elsewhere.
        module=source.module,
        digest=catalog.digest,
        without=catalog.without,
        python=source.python,
    )


def packs_in(folder: Path) -> tuple[list[PackSource], list[NodeGraphError]]:
    """Return the packs in a folder, by their names, and the problems of its other entries.

    The folder is added to the end of `sys.path`, so installed packs come before them.
    """
    found: list[PackSource] = []
    problems: list[NodeGraphError] = []
    for inner in _folders(folder):
        if not inner.name.isidentifier():
            problems.append(_not_importable(inner))
        elif not (inner / "__init__.py").is_file():
            problems.append(_not_a_package(inner))
        else:
            found.append(PackSource(inner.name, inner.name))
    place = str(folder.absolute())
    if found and place not in sys.path:
        sys.path.append(place)
    problems += [
        _name_taken(folder / pack.name, other)
        for pack in found
        if (other := _shadowing_module(pack, folder))
    ]
    return [pack for pack in found if not _shadowing_module(pack, folder)], problems


def _shadowing_module(pack: PackSource, folder: Path) -> str:
    """Return the module that Python finds in place of a pack; empty if it finds the pack."""
    known = importlib.util.find_spec(pack.module)
    place = known.origin if known and known.origin else ""
    expected = (folder / pack.name / "__init__.py").resolve()
    return "" if not place or Path(place).resolve() == expected else place


def _folders(folder: Path) -> list[Path]:
    """Return the sub-folders that may be packs, in the order of their names."""
    if not folder.is_dir():
        return []
    inner = (path for path in folder.iterdir() if path.is_dir())
    return sorted(path for path in inner if path.name[0] not in "._")


def _not_importable(inner: Path) -> PackError:
    name = "".join(letter if letter.isalnum() else "_" for letter in inner.name)
    hint = f"Rename it, for example to {name!r}."
    return PackError(f"the pack folder {inner} has a name that Python can not import.", hint=hint)


def _name_taken(inner: Path, other: str) -> PackError:
    message = f"the pack folder {inner} has the name of another module, {other}."
    return PackError(message, hint="Rename it; Python finds the other first.")


def _not_a_package(inner: Path) -> PackError:
    hint = "A pack has one; `nodegraph new-pack` makes such a folder."
    return PackError(f"the pack folder {inner} has no __init__.py.", hint=hint)
