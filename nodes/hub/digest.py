"""What the hub calls a content: its sha256, or for small files the sha1 that git gives them."""

import hashlib
from pathlib import Path

from nodegraph.references import is_sha256

MEGABYTE = 1_000_000


def digest(path: Path, like: str) -> str:
    """The file's sha256; or its sha1 as git counts it, if that is what it is compared with."""
    with path.open("rb") as file:
        if is_sha256(like):
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        while chunk := file.read(MEGABYTE):
            digest.update(chunk)
    return digest.hexdigest()
