"""The declaration of a pack; this module imports nothing heavy."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Pack(NamedTuple):
    """A set of node types under one name and version."""

    name: str
    version: str
    modules: tuple[str, ...]
    """The modules that hold its node types, imported when a run needs them."""
    models: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """Its own model files and folders, relative to its folder, by model folder."""
    web: str = ""
    """A folder below its own with scripts for the editor, served unchanged."""
    routes: tuple[str, ...] = ()
    """The routes that it handles itself, as `GET /mine/{name}`; see `nodegraph.packs.routes`."""
    folders: Mapping[str, str] = MappingProxyType({})
    """Further folders that are served unchanged, relative to its own, by path: `/mine`."""
    changes_prompts: bool = False
    """True if its module adds functions that change prompts before they are queued."""
    left_out: Mapping[str, str] = MappingProxyType({})
    """Why node types of it can not be used, by type."""
    choices: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """Names that its import adds to what nodes of all packs offer, by kind: `samplers`, …"""

    @staticmethod
    def from_namespace(source: Mapping[str, Any]) -> "Pack":
        """Read a pack module's `PACK`."""
        pack = source["PACK"]
        if not isinstance(pack, Pack):
            message = f"PACK must be a nodegraph.Pack, not {type(pack).__name__}."
            raise TypeError(message)
        return pack
