"""Addresses of folders in object stores: `s3://bucket/prefix`, `az://container/prefix`."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from nodegraph.errors import SettingsError

SCHEMES = ("s3", "az")
"""Amazon S3 and what speaks its language; Azure Blob Storage."""
_ADDRESS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://(?P<container>[^/]*)/?(?P<prefix>.*)", re.DOTALL
)
_CONTAINER = re.compile(r"[A-Za-z0-9$][A-Za-z0-9.-]{1,62}")


@dataclass(frozen=True, slots=True)
class ObjectAddress:
    """A folder in an object store."""

    scheme: str
    container: str
    """The bucket, or Azure's container."""
    prefix: str = ""
    """The folder's path in it, without slashes around it; empty for the whole."""

    def below(self, name: str) -> "ObjectAddress":
        """Return a folder below; itself if the name is empty."""
        return replace(self, prefix=self.key(name)) if name else self

    def key(self, name: str) -> str:
        """Return the key of an object below, by its name relative to the folder."""
        return f"{self.prefix}/{name}" if self.prefix else name

    @property
    def as_path(self) -> Path:
        """The address as a path, to keep names in that have to be the same on each machine."""
        return Path(str(self))

    def __str__(self) -> str:
        path = f"/{self.prefix}" if self.prefix else ""
        return f"{self.scheme}://{self.container}{path}"


Place: TypeAlias = Path | ObjectAddress
"""A folder on this machine, or in an object store."""


def is_address(text: object) -> bool:
    """Say if a text names a folder by an address: `scheme://…`."""
    return isinstance(text, str) and _ADDRESS.fullmatch(text) is not None


def read_address(text: str) -> ObjectAddress:
    """Parse the address of a folder in an object store.

    Raises:
        SettingsError: it is malformed, or of another kind.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or found["scheme"].lower() not in SCHEMES:
        message = f"{text!r} is no address of an object store that is known."
        raise SettingsError(message, hint="There are s3://bucket/prefix and az://container/prefix.")
    parts = [part for part in found["prefix"].split("/") if part]
    odd = not {".", ".."}.isdisjoint(parts) or any(c < " " or c == "\x7f" for c in text)
    if odd or not _CONTAINER.fullmatch(found["container"]):
        message = f"{text!r} names no bucket, or a prefix with '.', '..' or odd characters in it."
        raise SettingsError(message, hint="For example s3://bucket/prefix.")
    return ObjectAddress(found["scheme"].lower(), found["container"], "/".join(parts))
