"""Model names in workflows that are more than a path: references to a hub, and hashes.

`hf://owner/name[@revision][/path]` names a file of a repository, or without a path the file that
fits; `#sha256=<64 hex digits>` after any name fixes its content.
"""

import re
from dataclasses import dataclass, replace
from typing import NamedTuple

from nodegraph.errors import BadReferenceError

SCHEME = "hf://"
MARK = "#sha256="
MAIN = "main"
FILES = (".safetensors", ".sft", ".gguf")
"""The suffixes of files that a reference may name; any other path is a folder's."""
INDEX = "model_index.json"
"""A path that ends in this file means the folder around it."""

_PART = r"[A-Za-z0-9](?:[\w.-]{0,94}\w)?"
_REVISION = r"refs/(?:pr|convert)/[\w.-]{1,96}|[\w.%-]{1,200}"
_REFERENCE = re.compile(
    rf"{SCHEME}(?P<owner>{_PART})/(?P<name>{_PART})(?:@(?P<revision>{_REVISION}))?(?:/(?P<path>.+))?",
    re.ASCII,
)
_SEGMENT = re.compile(r"(?!\.{1,2}$)[^/\\\x00-\x1f]{1,255}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class HubReference:
    """A file or a folder of a repository on the hub."""

    owner: str
    name: str
    revision: str = MAIN
    """A branch, a tag or a commit."""
    path: str = ""
    """A file, a folder, or empty: then the file that fits is chosen."""

    @property
    def repository(self) -> str:
        """The repository's name on the hub: `owner/name`."""
        return f"{self.owner}/{self.name}"

    @property
    def is_fixed(self) -> bool:
        """True if the revision is a commit, which never changes its meaning."""
        return _COMMIT.fullmatch(self.revision) is not None

    @property
    def names_file(self) -> bool:
        """True if the path names a file, not a folder."""
        return self.path.lower().endswith(FILES)

    def at(self, commit: str, path: str) -> "HubReference":
        """Return a path in the same repository at a commit."""
        return replace(self, revision=commit, path=path)

    def __str__(self) -> str:
        path = f"/{self.path}" if self.path else ""
        return f"{SCHEME}{self.repository}@{self.revision}{path}"


class ModelName(NamedTuple):
    """The parts of a model file's name."""

    plain: str
    """The name below its folder; empty if it is on a hub."""
    hub: HubReference | None = None
    sha256: str = ""
    """The hash that its content must have; empty for any."""


def needs_reading(name: str) -> bool:
    """Say if a name is more than a path below a model folder."""
    return name.startswith(SCHEME) or MARK in name


def read_name(name: str) -> ModelName:
    """Parse a model file's name.

    Raises:
        BadReferenceError: it is malformed.
    """
    if not needs_reading(name):
        return ModelName(name)
    rest, mark, digits = name.partition(MARK)
    sha256 = digits.lower()
    if mark and not _SHA256.fullmatch(sha256):
        raise BadReferenceError(name, f"what follows {MARK} must be 64 hex digits")
    if not rest.startswith(SCHEME):
        return ModelName(rest, sha256=sha256)
    return ModelName("", read_reference(rest), sha256)


def read_reference(text: str) -> HubReference:
    """Parse an `hf://` reference.

    Raises:
        BadReferenceError: it is malformed.
    """
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise BadReferenceError(
            text, "it needs an owner and a name, of letters, digits, '.', '_' and '-'"
        )
    parts = found.groupdict(default="")
    names = (parts["owner"], parts["name"], parts["revision"])
    if any(".." in name for name in names):
        raise BadReferenceError(text, "it has '..' in it")
    path = parts["path"]
    if path and not all(_SEGMENT.fullmatch(part) for part in path.split("/")):
        raise BadReferenceError(text, "its path is not a plain one below the repository")
    revision = parts["revision"].replace("%2F", "/").replace("%2f", "/") or MAIN
    return HubReference(parts["owner"], parts["name"], revision, path)


def is_commit(text: str) -> bool:
    """Say if a text is a whole commit id."""
    return _COMMIT.fullmatch(text) is not None


def is_sha256(text: str) -> bool:
    """Say if a text is a sha256 in lower-case hex."""
    return _SHA256.fullmatch(text) is not None


def in_folder(folder: str, reference: HubReference) -> HubReference:
    """Point a reference to a diffusers folder at its `model_index.json`; leave others alone."""
    if folder != "diffusers" or reference.names_file or reference.path.endswith(INDEX):
        return reference
    return reference.at(reference.revision, f"{reference.path}/{INDEX}".lstrip("/"))
