"""Conversion of a ComfyUI pack's declarations to node types."""

import asyncio
import inspect
import logging
import tomllib
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from nodegraph.definition.node import NodeType
from nodegraph.definition.pack import Pack
from nodegraph.errors import NodeGraphError
from nodegraph.graph.spec import NodeSpec, OutputSpec
from nodes.comfy.call import CONTEXT, Call
from nodes.comfy.callbacks import check_of, needs_of, state_of
from nodes.comfy.host.api.node import ComfyNode
from nodes.comfy.host.node_classes import (
    EXTENSION_WEB_DIRS,
    NODE_CLASS_MAPPINGS,
    NODE_DISPLAY_NAME_MAPPINGS,
)
from nodes.comfy.input_types import Entries, read_entries, socket_of
from nodes.comfy.values import runtime

_NO_VERSION = "0"
_LONGEST_REASON = 500
"""The most characters that are told of why a node type is left out."""
_log = logging.getLogger(__name__)


def declarations_of(
    module: ModuleType, choices: Mapping[str, tuple[str, ...]] | None = None
) -> dict[str, object]:
    """Return the names that the import hook adds to a pack's module: `PACK`, and its node types.

    A node type whose own declaration fails is left out, as long as one is left.

    Args:
        module: of the pack, already run.
        choices: the names that it added to what all nodes offer; see `Pack.choices`.

    Raises:
        Exception: whatever the pack raises.
    """
    name = module.__name__.rpartition(".")[2]
    own: Mapping[str, str] = getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", None) or {}
    titles = {**NODE_DISPLAY_NAME_MAPPINGS, **own}
    types: dict[str, NodeType[..., Any]] = {}
    failures: dict[str, Exception] = {}
    for key, declared in _classes(module):
        kind = _with_schema(declared)
        try:
            found = node_type(
                key or kind.GET_SCHEMA().node_id, kind, module.__name__, titles.get(key)
            )
        except Exception as error:  # noqa: BLE001 - foreign code; the pack's other types are kept
            _log.warning("%s: %s is left out: %s", name, key or kind.__name__, error)
            failures[key or kind.__name__] = error
        else:
            types[f"node type {found.spec.name}"] = found
            NODE_CLASS_MAPPINGS[found.spec.name] = kind
    if failures and not types:
        raise next(iter(failures.values()))
    pack = Pack(
        name,
        _version(module),
        (module.__name__,),
        web=_web(module),
        routes=_routes(),
        folders=_folders(module),
        left_out={key: _reason(error) for key, error in failures.items()},
        changes_prompts=bool(runtime.current().server.prompt_changes),
        choices=choices or {},
    )
    return {"PACK": pack, **types}


def _with_schema(kind: Any) -> Any:
    """Return a class whose `define_schema` is read, also if it derives from one of `comfy_extras`.

    Those of ComfyUI are of the v3 API, those that stand in for them are not.
    """
    if not hasattr(kind, "define_schema") or issubclass(kind, ComfyNode):
        return kind
    own = {name: value for name, value in vars(ComfyNode).items() if name not in vars(kind)}
    return type(kind)(kind.__name__, (kind, ComfyNode), {**own, "__module__": kind.__module__})


def _reason(error: Exception) -> str:
    """Return an error in one line."""
    kind = "" if isinstance(error, NodeGraphError) else f"{type(error).__name__}: "
    return f"{kind}{' '.join(str(error).split())}"[:_LONGEST_REASON]


def node_type(name: str, kind: Any, module: str, title: str | None) -> NodeType[..., Any]:
    """Convert a class of ComfyUI's v1 API to a node type."""
    entries = read_entries(kind)
    spec = NodeSpec(
        name=name,
        display_name=str(title or getattr(kind, "DISPLAY_NAME", None) or name),
        category=str(getattr(kind, "CATEGORY", "")),
        description=inspect.cleandoc(str(getattr(kind, "DESCRIPTION", "") or "")),
        module=module,
        inputs=entries.inputs,
        outputs=outputs_of(kind),
        open_inputs=entries.more or ("*" if entries.given else ""),
        hidden=tuple(sorted(_client_inputs(entries))),
        output_node=bool(getattr(kind, "OUTPUT_NODE", False)),
        checks_inputs=bool(getattr(kind, "VALIDATE_INPUTS", None)),
        input_is_list=bool(getattr(kind, "INPUT_IS_LIST", False)),
        runs_empty=not entries.hidden and _needs_nothing(kind),
        deprecated=bool(getattr(kind, "DEPRECATED", False)),
        experimental=bool(getattr(kind, "EXPERIMENTAL", False)),
    )
    call = Call(kind, spec, entries)
    check = check_of(kind, name, entries)
    return NodeType(
        spec,
        call,
        CONTEXT,
        needs_of(kind, spec),
        state_of(kind, name, entries),
        check=check,
        takes_any_device=True,
        depends_on_id="UNIQUE_ID" in entries.hidden.values(),
    )


def _needs_nothing(kind: Any) -> bool:
    """Return True if the class's function can be called without inputs."""
    is_schema = isinstance(kind, type) and issubclass(kind, ComfyNode)
    method = "execute" if is_schema else str(getattr(kind, "FUNCTION", ""))
    function = inspect.getattr_static(kind, method, None)
    function = getattr(function, "__func__", function)  # of a class or static method
    if not inspect.isfunction(function):
        return False
    own = [] if isinstance(inspect.getattr_static(kind, method), staticmethod) else [None]
    try:
        inspect.signature(function).bind(*own)
    except TypeError:  # an argument is missing
        return False
    return True


def outputs_of(kind: Any) -> tuple[OutputSpec, ...]:
    """Return the outputs of RETURN_TYPES; RETURN_NAMES and OUTPUT_IS_LIST may be shorter."""
    types = getattr(kind, "RETURN_TYPES", None) or ()
    types = (types,) if isinstance(types, str) else tuple(types)
    names = tuple(getattr(kind, "RETURN_NAMES", None) or ())
    listed = tuple(getattr(kind, "OUTPUT_IS_LIST", None) or ())
    templates = tuple(getattr(kind, "OUTPUT_TEMPLATES", None) or ())
    return tuple(
        OutputSpec(
            name=str(names[k]) if k < len(names) and names[k] else socket_of(found),
            socket=socket_of(found),
            is_list=bool(k < len(listed) and listed[k]),
            template=templates[k] if k < len(templates) else "",
        )
        for k, found in enumerate(types)
    )


def _client_inputs(entries: Entries) -> set[str]:
    kinds = {kind.lower() for kind in entries.hidden.values()}
    return kinds & {"prompt", "extra_pnginfo", "unique_id"}


def _classes(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield the pack's node types: name and class; a class of the v3 API has its name itself."""
    mappings = getattr(module, "NODE_CLASS_MAPPINGS", None)
    yield from NODE_CLASS_MAPPINGS.of_module(module.__name__).items()
    if mappings is not None:
        yield from ((str(name), kind) for name, kind in dict(mappings).items())
    entry = getattr(module, "comfy_entrypoint", None)
    if entry is not None:
        for kind in asyncio.run(_extension_nodes(entry)):
            yield "", kind
    if mappings is None and entry is None:
        message = "it has neither NODE_CLASS_MAPPINGS nor comfy_entrypoint"
        raise ImportError(message)


async def _extension_nodes(entry: Any) -> list[Any]:
    """Return the node classes of an extension of the v3 API."""
    extension = entry()
    if inspect.isawaitable(extension):
        extension = await cast("Coroutine[Any, Any, Any]", extension)
    await extension.on_load()
    return list(await extension.get_node_list())


def _routes() -> tuple[str, ...]:
    """Return the routes of this process's packs; a process that describes a pack has no other."""
    routes = runtime.current().server.routes
    return tuple(dict.fromkeys(f"{route.method} {route.path}" for route in routes))


def _folders(module: ModuleType) -> dict[str, str]:
    """Return the folders that this process's packs have served, as paths from the pack's own.

    What lies outside of the pack's folder has its absolute path.
    """
    root = Path(module.__file__ or "").parent.resolve()
    named = {f"/extensions/{name}": Path(path) for name, path in EXTENSION_WEB_DIRS.items()}
    found = {**runtime.current().server.folders, **named}
    places = {path: folder.resolve() for path, folder in found.items() if folder.is_dir()}
    return {
        path: (place.relative_to(root) if place.is_relative_to(root) else place).as_posix()
        for path, place in places.items()
    }


def _web(module: ModuleType) -> str:
    """Return WEB_DIRECTORY as a path below the pack's folder; empty if it is not one."""
    root = Path(module.__file__ or "").parent.resolve()
    web = (root / str(getattr(module, "WEB_DIRECTORY", "") or "")).resolve()
    inside = web != root and web.is_dir() and web.is_relative_to(root)
    return web.relative_to(root).as_posix() if inside else ""


def _version(module: ModuleType) -> str:
    """Return the version in the pack's pyproject.toml."""
    place = Path(module.__file__ or "").parent / "pyproject.toml"
    try:
        found = tomllib.loads(place.read_text(encoding="utf-8"))["project"]["version"]
    except (OSError, KeyError, TypeError, ValueError):
        return _NO_VERSION
    return str(found)
