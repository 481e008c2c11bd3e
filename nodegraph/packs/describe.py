"""Describe a pack on stdout: `python -m nodegraph.packs.describe NAME MODULE`, a child process."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name

from nodegraph.errors import NodeConflictError, NodeGraphError
from nodegraph.graph.spec import NodeSpec
from nodegraph.packs.catalog import FORMAT, PackSource
from nodegraph.packs.installed import BUILT_IN
from nodegraph.packs.loading import import_pack, import_types
from nodegraph.packs.snapshot import PackCatalog, as_text, failure_as_text


def describe(source: PackSource) -> PackCatalog:
    """Import a pack and every module of its node types.

    Raises:
        PackError: it has no `PACK`.
        NodeConflictError: two of its node types have one name.
    """
    pack = import_pack(source)
    revisions = {} if source.name == BUILT_IN else source.revisions(pack.modules)
    specs: dict[str, NodeSpec] = {}
    for module in pack.modules:
        for found in import_types(module, source.name):
            spec = replace(found.spec, revision=revisions.get(module, ""))
            other = specs.setdefault(spec.name, spec)
            if other is not spec:
                raise NodeConflictError(spec.name, other.module, module)
    return PackCatalog(
        format=FORMAT,
        digest=source.digest(),
        name=source.name,
        version=pack.version,
        models={folder: tuple(places) for folder, places in pack.models.items()},
        nodes=tuple(specs.values()),
        web=pack.web,
        routes=pack.routes,
    )


def main() -> None:
    """Print the catalog, or why there is none; whatever the pack itself prints goes to stderr."""
    stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        catalog = describe(_source(*sys.argv[1:]))
    except NodeGraphError as error:
        text = failure_as_text(error.message)
    else:
        text = as_text(catalog)
    with stdout:
        stdout.write(text)


def _source(name: str, module: str, host: str = "", place: str = "", salt: str = "") -> PackSource:
    if host:
        resolve_name(host)()
    return PackSource(name, module, Path(place) if place else None, salt=salt)


if __name__ == "__main__":
    main()
