"""Imports packs' modules, here and nowhere else; and forgets them when their files change."""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from nodegraph.definition.pack import Pack
from nodegraph.errors import NodeConflictError, PackError
from nodegraph.packs.catalog import PackSource

if TYPE_CHECKING:
    from nodegraph.definition.node import NodeType


def import_pack(source: PackSource) -> Pack:
    """Import a pack's module for its `PACK`.

    Raises:
        PackError: it can not be imported, or has none.
    """
    try:
        return Pack.from_namespace(vars(import_named(source.module, f"the pack {source.name!r}")))
    except (KeyError, TypeError) as error:
        message = f"the module {source.module!r} has no PACK of the class nodegraph.Pack."
        raise PackError(message) from error


def import_types(module: str, owner: str) -> "list[NodeType[..., Any]]":
    """Import a module for the node types that it defines, in their order.

    Raises:
        PackError: it can not be imported.
        NodeConflictError: two of them have one name.
    """
    from nodegraph.definition.node import NodeType

    types: dict[str, NodeType[..., Any]] = {}
    for found in vars(import_named(module, owner)).values():
        if not isinstance(found, NodeType):
            continue
        value = cast("NodeType[..., Any]", found)
        if value.spec.module != module:
            continue
        if types.setdefault(value.spec.name, value) is not value:
            raise NodeConflictError(value.spec.name, module, module)
    return list(types.values())


def import_named(module: str, wanted_by: str) -> ModuleType:
    """Import a module.

    Raises:
        PackError: it can not be imported.
    """
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:  # A pack is foreign code: anything may happen.
        where = _line_in(module.partition(".")[0], error)
        message = f"{module!r}, of {wanted_by}, fails{where}: {type(error).__name__}: {error}"
        raise PackError(message, hint="Mend or uninstall the pack.") from error


def _line_in(package: str, error: BaseException) -> str:
    """The innermost line of a package that an error passed, in words; empty if there is none."""
    found, trace = "", error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_globals.get("__name__", "").partition(".")[0] == package:
            found = f" at {frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def forget(package: str) -> None:
    """Let the next import read a package's files again; who uses it now keeps what it has."""
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{package}.")]:
        del sys.modules[name]
