"""Model files in an object store: listed there, and fetched when a run needs them."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from nodegraph.errors import NotHereError, UnknownFileError
from nodegraph.files.atomic import part_in, write_error
from nodegraph.files.objects.address import ObjectAddress
from nodegraph.files.objects.bucket import Bucket, ObjectFacts
from nodegraph.files.shards import INDEX, is_shard, shards_of
from nodegraph.files.sources import Watch

_FRESH = 30.0
"""Seconds that the list of all models is used again."""
_MEGABYTE = 2**20
_MODEL_INDEX = "model_index.json"


class ModelRoot:
    """A root of model folders in an object store, and the local folder that its files go to.

    Local files have the same names as there; beside each lies a hidden one with its version.

    Args:
        bucket: holds it.
        address: the root.
        local: the local folder.
    """

    def __init__(self, bucket: Bucket, address: ObjectAddress, local: Path) -> None:
        self._bucket = bucket
        self._address = address
        self._local = local
        self._listed: tuple[float, dict[str, ObjectFacts]] | None = None
        self._lock = threading.Lock()

    def check(self) -> None:
        """Check that it can be listed.

        Raises:
            ObjectStoreError: it can not be.
        """
        self._bucket.check(self._address.prefix)

    def files_in(self, place: Path) -> list[str]:
        """Return the names of the files there that a local directory stands for, below it."""
        start = f"{place.relative_to(self._local).as_posix()}/"
        names = (name for name in self._objects() if name.startswith(start))
        found = (name[len(start) :] for name in names)
        return [name for name in found if not any(p.startswith(".") for p in name.split("/"))]

    def version(self, path: Path) -> str:
        """Return a text that identifies the content of a file, or of a folder of them."""
        wanted = self._objects_of(path)
        parts = sorted(f"{name}@{facts.etag}" for name, facts in wanted.items())
        return f"{self._address}#{'+'.join(parts)}"

    def has(self, path: Path) -> bool:
        """Say if there is a file of that name, or a folder with a `model_index.json`."""
        return bool(self._objects_of(path))

    def fetch(self, path: Path, watch: Watch | None) -> Path:
        """Have a file, all shards of one, or a diffusers folder, on the disk; return its path.

        Args:
            path: the local path, with the same name as there.
            watch: is told how far it is; without one nothing is fetched.

        Raises:
            NotHereError: it would have to be fetched, and there is no watch.
            DiskFullError: the disk is full.
            OutputFolderError: the folder for it can not be written.
            ObjectStoreError: it can not be had.
        """
        missing = {
            name: facts
            for name, facts in self._objects_of(path).items()
            if not _is_current(self._local / name, facts)
        }
        if missing and watch is None:
            raise NotHereError(str(self._address.below(path.relative_to(self._local).as_posix())))
        if watch is not None and missing:
            self._fetch(missing, watch)
        return path

    def _fetch(self, missing: dict[str, ObjectFacts], watch: Watch) -> None:
        total, done = sum(facts.size for facts in missing.values()), 0
        with self._lock:
            for name, facts in missing.items():
                path = self._local / name
                if not _is_current(path, facts):  # somebody else had it fetched meanwhile
                    self._write(path, facts, _Told(watch, done, total))
                done += facts.size

    def _write(self, path: Path, facts: ObjectFacts, told: "_Told") -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part_in(path.parent, told.chunks(self._bucket.read(facts))) as part:
                _version_file(path).unlink(missing_ok=True)
                part.replace(path)
            _version_file(path).write_text(facts.etag)
        except FileNotFoundError as error:
            raise UnknownFileError(path.name, str(self._address), ()) from error
        except OSError as error:
            raise write_error(path.parent, error) from error

    def _objects_of(self, path: Path) -> dict[str, ObjectFacts]:
        """Return the objects that belong to a path, by name: a file, shards, or a folder's."""
        objects, name = self._objects(), path.relative_to(self._local).as_posix()
        if name in objects and not (is_shard(name) or name.endswith(INDEX)):
            return {name: objects[name]}
        if name in objects:
            stem = PurePosixPath(name.removesuffix(INDEX))
            beside = {each.name for each in shards_of(Path(name))} | {PurePosixPath(name).name}
            start = f"{stem.name}-" if name.endswith(INDEX) else ""
            return {
                each: facts
                for each, facts in objects.items()
                if PurePosixPath(each).parent == stem.parent
                and (
                    PurePosixPath(each).name in beside
                    or (start and PurePosixPath(each).name.startswith(start))
                )
            }
        if f"{name}/{_MODEL_INDEX}" not in objects:
            return {}
        return {each: facts for each, facts in objects.items() if each.startswith(f"{name}/")}

    def _objects(self) -> dict[str, ObjectFacts]:
        """Return all objects below the root, by name."""
        listed = self._listed
        if listed is None or time.monotonic() - listed[0] > _FRESH:
            start = len(self._address.key(""))
            found = self._bucket.list_below(self._address.prefix)
            listed = time.monotonic(), {facts.key[start:]: facts for facts in found}
            self._listed = listed
        return listed[1]


class _Told:
    """Tells a watch how many megabytes have come."""

    def __init__(self, watch: Watch, done: int, total: int) -> None:
        self._watch = watch
        self._done = done
        self._total = total

    def chunks(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the chunks, and stop if the run was cancelled."""
        for chunk in chunks:
            self._watch.check_cancelled()
            self._done += len(chunk)
            self._watch.progress(self._done // _MEGABYTE, max(1, self._total // _MEGABYTE))
            yield chunk


def _version_file(path: Path) -> Path:
    return path.with_name(f".{path.name}.version")


def _is_current(path: Path, facts: ObjectFacts) -> bool:
    with suppress(OSError):
        same = path.stat().st_size == facts.size
        return same and _version_file(path).read_text() == facts.etag
    return False
