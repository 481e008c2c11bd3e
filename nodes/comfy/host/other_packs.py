"""The node types of packs that nothing has imported yet, for packs that look for each other's.

ComfyUI imports all packs when it starts, and a pack finds the classes of others in the
`NODE_CLASS_MAPPINGS` of `nodes` from then on. Here a pack is imported when a run needs it, so a
look-up of a name that it declares imports it, too. While a pack is imported, others are not: which
of them come first would depend on who asks, and two packs that look for each other would go in
circles.
"""

from collections.abc import Iterator
from contextlib import suppress

from nodegraph.errors import PackError
from nodegraph.packs.catalog import PackSource, remembered_catalog
from nodegraph.packs.loading import import_named
from nodes.comfy.values import runtime


def pack_with(name: str) -> PackSource | None:
    """Return the first pack that declares a node type, without importing it; None without one.

    While a pack is imported there is none.
    """
    return next((pack for pack, names in _packs_and_names() if name in names), None)


def names_of_packs() -> Iterator[str]:
    """Yield the node types of all packs that have been described, without importing any."""
    for _, names in _packs_and_names():
        yield from names


def import_whole(pack: PackSource) -> None:
    """Import a pack, so that its classes are known.

    Raises:
        PackError: it can not be imported.
    """
    import_named(pack.module, f"the pack {pack.name!r}")


def _packs_and_names() -> Iterator[tuple[PackSource, frozenset[str]]]:
    """Yield the packs and their node types; none while a pack is imported."""
    environment = runtime.current()
    for name, pack in () if runtime.importing() else list(environment.packs.items()):
        if name not in environment.names:
            with suppress(PackError):  # It could not be described, so that it has no node types.
                found = remembered_catalog(
                    pack, environment.settings.cache_dir, environment.settings.pack_patience
                )
                if found:
                    environment.names[name] = frozenset(spec.name for spec in found.nodes)
        yield pack, environment.names.get(name, frozenset())
