"""Checks of model files against their names, the lock file, the hub and remembered hashes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nodegraph.errors import NodeGraphError
from nodegraph.files.files import Files
from nodegraph.files.references import read_reference
from nodegraph.files.shards import INDEX
from nodes.cli.listing import HUB, ModelFile, files_of, model_sources
from nodes.models.hub.download import digest
from nodes.models.weights.header import read_header
from nodes.models.weights.sharded import read_weights


class Verdict(NamedTuple):
    """The result of checking one file."""

    name: str
    path: Path
    sha256: str
    """The sha256 of the file on the disk."""
    said: Mapping[str, str]
    """The expected sha256s, by the record that has each."""
    damage: str = ""
    """The damage that the file's header shows; empty if there is none."""

    @property
    def wrong(self) -> bool:
        """True if the file is damaged, or a record gives another hash."""
        return bool(self.damage) or any(expected != self.sha256 for expected in self.said.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON."""
        return {
            "name": self.name,
            "file": str(self.path),
            "sha256": self.sha256,
            "expected": dict(self.said),
            "damage": self.damage,
            "ok": not self.wrong,
        }


def verify_files(model: ModelFile, files: Files, *, ask: bool) -> Iterator[Verdict]:
    """Hash every file of a model anew, and compare with what is recorded.

    Args:
        model: the model.
        files: the remembered hashes and the access to the hub.
        ask: ask the hub for the hashes that it has now.

    Raises:
        HubError: the hub was asked and does not answer.
    """
    published = _hub_hashes(model, files, ask=ask)
    for path in files_of(model.path):
        said = {"recorded": files.identities.known_sha256(path)}
        if model.folder == HUB:
            said |= _recorded_hashes(model, path, files, published)
        if path == model.path:
            said["name"] = model.sha256
        found = files.identities.rehash(path)
        name = model.name if path == model.path else f"{model.name}: {path.name}"
        known = {who: what for who, what in said.items() if what}
        yield Verdict(name, path, found, known, _damage(path))


def _damage(path: Path) -> str:
    """Return the damage that the header of a safetensors file shows, or those of an index's files.

    Empty if there is none; layers in formats that are not read here are no damage.
    """
    is_index = path.name.endswith(INDEX)
    if path.suffix not in (".safetensors", ".sft") and not is_index:
        return ""
    try:
        _ = read_weights(path) if is_index else read_header(path)
    except NodeGraphError as error:
        return "" if error.code == "unreadable_layers" else error.message
    return ""


def _hub_hashes(model: ModelFile, files: Files, *, ask: bool) -> Mapping[str, str]:
    if model.folder != HUB or not ask:
        return {}
    return model_sources(files).published_hashes(read_reference(model.name))


def _recorded_hashes(
    model: ModelFile, path: Path, files: Files, published: Mapping[str, str]
) -> dict[str, str]:
    """Return the hashes that the lock file, the hub and the cache's file name give."""
    if model.origin is None:
        return {}
    place = model.origin.reference.path
    if model.path.is_dir():
        inside = path.relative_to(model.path).as_posix()
        place = f"{place}/{inside}" if place else inside
    recorded = model_sources(files).recorded_hashes(read_reference(model.name))
    said = {"lock file": recorded.get(place, ""), "hub": published.get(place, "")}
    etag = path.resolve().name
    if len(etag) == 40 and digest(path, etag) != etag:
        said["cache"] = f"git sha1 {etag}"
    return said
