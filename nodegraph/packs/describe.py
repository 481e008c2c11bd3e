"""Describe a pack on stdout: `python -m nodegraph.packs.describe SOURCE`, a child process."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name

from nodegraph.errors import NodeConflictError, NodeGraphError, PackError
from nodegraph.graph.spec import NodeSpec
from nodegraph.packs.catalog import FORMAT, PackSource, source_from_text
from nodegraph.packs.environment.failures import Failure
from nodegraph.packs.environment.imports import Missing, can_find, missing_imports, noted_imports
from nodegraph.packs.installed import BUILT_IN
from nodegraph.packs.loading import import_pack, import_types
from nodegraph.packs.snapshot import PackCatalog, as_text


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
        folders=dict(pack.folders),
        changes_prompts=pack.changes_prompts,
    )


def main() -> None:
    """Print the catalog, or why there is none; whatever the pack itself prints goes to stderr."""
    stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    source = source_from_text(sys.argv[1])
    if source.host:
        resolve_name(source.host)()
    with stdout:
        stdout.write(_description(source))


def _description(source: PackSource) -> str:
    """Return the pack's catalog as text, or its failure."""
    try:
        origin = source.origin()
        with noted_imports(_root(origin)) as noted:
            try:
                catalog = describe(source)
            except NodeGraphError as error:
                return _failure(source, error, noted).as_text()
    except PackError as error:
        return Failure(error.message).as_text()
    without = (name for name in noted if name not in source.provided and not can_find(name))
    return as_text(replace(catalog, without=tuple(without)))


def _failure(source: PackSource, error: NodeGraphError, noted: Missing) -> Failure:
    """Return the failure; all missing packages at once, those of failed imports first."""
    certain = missing_imports(source.origin(), source.provided)
    missing = {
        name: place
        for name, place in {**noted, **certain}.items()
        if name not in source.provided and not can_find(name)
    }
    cause = error.__cause__
    says_it_all = isinstance(cause, ModuleNotFoundError) and cause.name in missing
    return Failure("" if says_it_all else error.message, missing)


def _root(origin: Path) -> Path:
    return origin.parent if origin.name == "__init__.py" else origin


if __name__ == "__main__":
    main()
