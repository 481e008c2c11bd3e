"""The hub's hashes of files: sha256, or git's sha1 for small files."""

import hashlib
from pathlib import Path

from nodegraph.references import is_sha256

MEGABYTE = 1_000_000


def digest(path: Path, like: str) -> str:
    """Return the file's sha256, or git's sha1 if `like` is one."""
    with path.open("rb") as file:
        if is_sha256(like):
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        while chunk := file.read(MEGABYTE):
            digest.update(chunk)
    return digest.hexdigest()
