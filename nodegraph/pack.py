"""A pack, as its module declares it: importing this costs nothing."""

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
    """Model files and folders that it brings along, relative to its own, by model folder."""
    web: str = ""
    """A folder below its own, with scripts for the editor; they are served as they are."""
    routes: tuple[str, ...] = ()
    """What it answers itself, as `GET /mine/{name}`; see `nodegraph.pack_server`."""

    @staticmethod
    def of(source: Mapping[str, Any]) -> "Pack":
        """Read a pack module's `PACK`."""
        pack = source["PACK"]
        if not isinstance(pack, Pack):
            message = f"PACK must be a nodegraph.define.Pack, not {type(pack).__name__}."
            raise TypeError(message)
        return pack
