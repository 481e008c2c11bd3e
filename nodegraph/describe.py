"""Describe a pack on stdout, as a child process: `python -m nodegraph.describe NAME MODULE`."""

import os
import sys

from nodegraph.catalog import FORMAT, PackCatalog, PackSource, as_text
from nodegraph.errors import NodeGraphError
from nodegraph.registry import import_pack, import_types


def describe(source: PackSource) -> PackCatalog:
    """Import a pack and every module of its node types.

    Raises:
        PackError: it has no `PACK`.
        NodeConflictError: two of its node types have one name.
    """
    pack = import_pack(source)
    types = [found for module in pack.modules for found in import_types(module, source.name)]
    return PackCatalog(
        format=FORMAT,
        digest=source.digest(),
        name=source.name,
        version=pack.version,
        models={folder: tuple(places) for folder, places in pack.models.items()},
        nodes=tuple(found.spec for found in types),
    )


def main() -> int:
    """Print the catalog; whatever the pack itself prints goes to stderr."""
    stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        catalog = describe(PackSource(*sys.argv[1:3]))
    except NodeGraphError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    with stdout:
        stdout.write(as_text(catalog))
    return 0


if __name__ == "__main__":
    sys.exit(main())
