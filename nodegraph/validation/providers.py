"""The origins of node types and models: as a workflow in the editor format names them, or known."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from nodegraph.errors import NodeGraphError, UnknownNodeTypeError, short_repr
from nodegraph.graph.json_values import is_list, is_object
from nodegraph.validation.known_packs import KnownPack, known_packs
from nodegraph.validation.problems import ValueNotInListError

_OWN = "comfy-core"
_LONGEST = 300
_GITHUB = "https://github.com/"
_REGISTRY = "https://registry.comfy.org/nodes/"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHOWN = 7
"""The digits of a commit that are shown."""


@dataclass(frozen=True, slots=True)
class PackOrigin:
    """The pack that a node type comes from."""

    name: str
    address: str
    """The page of the pack: on GitHub, from where it can be cloned, or in the registry."""
    version: str = ""
    is_comfyui: bool = False
    """True for ComfyUI itself, whose own node types nodegraph has not all."""

    @property
    def folder(self) -> str:
        """The name of the folder that it is cloned to; empty if that is not known."""
        name = self.address.rpartition("/")[2].removesuffix(".git")
        return name if self.address.startswith(_GITHUB) else ""

    def __str__(self) -> str:
        """Say in whole sentences where it is and how to install it."""
        version = f" ({self.version})" if self.version else ""
        if self.is_comfyui:
            return f"It is one of ComfyUI's own{version}; nodegraph can't run it yet."
        if self.folder:
            how = f"To install it: git clone {self.address} custom_nodes/{self.folder}"
        else:
            how = f"It is at {self.address}."
        return f"The pack {short_repr(self.name)}{version} has it. {how}"


@dataclass(frozen=True, slots=True)
class ModelOrigin:
    """The address of a model file, as a workflow has it."""

    name: str
    url: str
    folder: str
    """The model folder that it belongs to, such as `loras`; or nothing."""
    sha256: str = ""

    def __str__(self) -> str:
        """Say in a sentence where it is."""
        place = f", for models/{self.folder}" if self.folder else ""
        return f"The workflow gets it from {self.url}{place}."


@dataclass(frozen=True, slots=True)
class Providers:
    """The origins of node types and models."""

    types: Mapping[str, PackOrigin]
    """The pack of each node type that the workflow names one for."""
    models: Mapping[str, ModelOrigin]
    """Each model with an address, by file name."""

    def pack_of(self, type_name: str) -> PackOrigin | None:
        """Return the pack that has a node type, as the workflow or else the table says."""
        if type_name in self.types:
            return self.types[type_name]
        known = known_packs().with_type(type_name)
        return _as_origin(known) if known else None

    def explain(self, problems: Iterable[NodeGraphError]) -> None:
        """Tell the origin of each missing node type or model in the hint of its problem."""
        for problem in problems:
            if isinstance(problem, UnknownNodeTypeError):
                self._explain_type(problem)
            elif isinstance(problem, ValueNotInListError):
                name = problem.details.get("received_value")
                found = self.models.get(name) if isinstance(name, str) else None
                if found:
                    problem.hint = f"{found} {problem.hint}".strip()

    def _explain_type(self, problem: UnknownNodeTypeError) -> None:
        name = problem.details.get("class_type")
        pack = self.pack_of(name) if isinstance(name, str) else None
        if pack:
            problem.hint = str(pack)
            about = {"pack": pack.name, "address": pack.address, "version": pack.version}
            problem.details = {**problem.details, **about}


def providers_of(editor: Mapping[str, object] | None) -> Providers:
    """Read the origins from the editor's description of a graph, which may have any shape."""
    types: dict[str, PackOrigin] = {}
    models: dict[str, ModelOrigin] = {}
    for item in _objects((editor or {}).get("models")):
        _add_model(item, models)
    for node in _nodes(editor or {}):
        properties, name = node.get("properties"), node.get("type")
        if not is_object(properties):
            continue
        for item in _objects(properties.get("models")):
            _add_model(item, models)
        pack = _pack(properties)
        if isinstance(name, str) and pack:
            types.setdefault(name, pack)
    return Providers(types, models)


def _nodes(editor: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Yield every node, also those in subgraphs."""
    definitions = editor.get("definitions")
    subgraphs = definitions.get("subgraphs") if is_object(definitions) else None
    for canvas in (editor, *_objects(subgraphs)):
        yield from _objects(canvas.get("nodes"))


def _objects(given: object) -> Iterator[Mapping[str, object]]:
    if is_list(given):
        yield from (item for item in given if is_object(item))


def _pack(properties: Mapping[str, object]) -> PackOrigin | None:
    key, place, version = (_short(properties.get(name)) for name in ("cnr_id", "aux_id", "ver"))
    if _COMMIT.fullmatch(version):
        version = version[:_SHOWN]
    if key == _OWN:
        return PackOrigin("ComfyUI", _GITHUB + "comfyanonymous/ComfyUI", version, is_comfyui=True)
    if place:
        name = key or place.rpartition("/")[2]
        return PackOrigin(name, _GITHUB + place.removeprefix(_GITHUB), version)
    if not key:
        return None
    known = known_packs().with_name(key)
    return PackOrigin(key, known.address if known else _REGISTRY + key, version)


def _as_origin(pack: KnownPack) -> PackOrigin:
    return PackOrigin(pack.name, pack.address, is_comfyui=pack.is_comfyui)


def _add_model(item: Mapping[str, object], models: dict[str, ModelOrigin]) -> None:
    name, url, folder = (_short(item.get(key)) for key in ("name", "url", "directory"))
    if name and url:
        kind, digest = str(item.get("hash_type", "")), _short(item.get("hash")).lower()
        sha256 = digest if kind.lower() == "sha256" else ""
        models.setdefault(name, ModelOrigin(name, url, folder, sha256))


def _short(value: object) -> str:
    return value[:_LONGEST] if isinstance(value, str) and value.isprintable() else ""
