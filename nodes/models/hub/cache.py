"""Paths of the cache of the hub's client, known without importing it.

The layout is documented (https://huggingface.co/docs/huggingface_hub/guides/manage-cache):
`models--owner--name/` with `refs/<revision>`, `blobs/<etag>` and `snapshots/<commit>/<path>`.
"""

from pathlib import Path

from nodegraph.files.references import HubReference, is_commit


def blob_path(cache: Path, reference: HubReference, etag: str) -> Path:
    """Return the path of a blob in the cache."""
    return _repository(cache, reference) / "blobs" / etag


def lock_path(cache: Path, reference: HubReference, etag: str) -> Path:
    """Return the lock file that guards the download of a blob."""
    return cache / ".locks" / _repository(cache, reference).name / f"{etag}.lock"


def snapshot_path(cache: Path, reference: HubReference) -> Path:
    """Return the path of a file or folder of a commit."""
    return _repository(cache, reference) / "snapshots" / reference.revision / reference.path


def known_commit(cache: Path, reference: HubReference) -> str | None:
    """Return the commit that a revision pointed to when it was last looked up, by any program."""
    if reference.is_fixed:
        return reference.revision
    try:
        path = _repository(cache, reference) / "refs" / reference.revision
        commit = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return commit if is_commit(commit) else None


def _repository(cache: Path, reference: HubReference) -> Path:
    return cache / f"models--{reference.owner}--{reference.name}"
