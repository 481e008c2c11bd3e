"""A user's folder in an object store."""

import hashlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from nodegraph.errors import UnknownFileError, UnsafePathError
from nodegraph.files.atomic import Chunk, part_in, write_error
from nodegraph.files.file_names import Claim, FileSeries, LastNumbers
from nodegraph.files.folders import relative
from nodegraph.files.objects.address import ObjectAddress
from nodegraph.files.objects.body import AT_ONCE, Body
from nodegraph.files.objects.bucket import Bucket, ObjectFacts
from nodegraph.files.objects.copies import Copies
from nodegraph.files.users.numbered import number_pattern

PROBE = ".nodegraph"
"""An empty object that shows that a folder can be written; hidden from lists."""
_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A file in an object store."""

    bucket: Bucket
    facts: ObjectFacts
    copies: Copies

    @property
    def name(self) -> str:
        """Its name, without folders."""
        return self.facts.key.rpartition("/")[2]

    def local(self) -> Path:
        """Return the path of a local copy.

        Raises:
            UnknownFileError: it is gone, or has changed since.
            ObjectStoreError: it can not be had.
        """
        facts = self.facts
        version = f"{self.bucket.address}\0{facts.key}\0{facts.etag}\0{facts.size}"
        try:
            return self.copies.get(version, self.name, self.bucket.read(facts), facts.size)
        except FileNotFoundError as error:
            raise UnknownFileError(self.name, str(self.bucket.address), ()) from error

    def signed_url(self, seconds: int) -> str:
        """Return an address that lets its holder read the file for some seconds; see `Bucket`."""
        return self.bucket.signed_url(self.facts.key, seconds)


@dataclass(frozen=True, slots=True)
class ObjectFolder:
    """A folder in an object store. See `UserFolder`.

    A file's key is made of the folder's prefix and its name, which `relative` has checked, so
    that no name leads out.
    """

    bucket: Bucket
    address: ObjectAddress
    copies: Copies

    def of(self, owner: str) -> "ObjectFolder":
        """Return the folder of one owner; itself if empty."""
        return ObjectFolder(self.bucket, self.address.below(owner), self.copies)

    def names(self, below: str = "") -> list[str]:
        """Return the names of the files directly in it, or in a folder below; none if hidden."""
        folder = self.address.below(str(relative(below)) if below else "").prefix
        return [self._name(each) for each in self._visible(folder)]

    def newest_first(self) -> list[str]:
        """Return the names of the files directly in it, the newest first; none if hidden."""
        found = self._visible(self.address.prefix)
        return [self._name(each) for each in sorted(found, key=lambda one: -one.modified)]

    def find(self, name: str) -> StoredObject | None:
        """Return the file of that name; None if there is none."""
        facts = self.bucket.facts(self._key(name))
        return StoredObject(self.bucket, facts, self.copies) if facts else None

    def place(self, name: str) -> str:
        """Return the address of a file of that name."""
        return str(self.address.below(str(relative(name))))

    def save(
        self,
        prefix: str,
        suffix: str,
        data: bytes | Iterable[Chunk],
        last: LastNumbers,
        claim: Claim | None = None,
    ) -> str:
        """Write a new numbered file and return its name.

        It has the number after the last, or with `claim` the one that an earlier attempt at the
        same run had, whose file it replaces.
        """
        top = self.address.as_path
        series = self._series(prefix, suffix)
        with self._body(data) as body:
            number = last.get(series)
            if number is None:
                number = self._highest(series, 0)
            while True:
                named = claim.claim(series, number + 1) if claim else series.file(number + 1)
                if self._write(named.path, body, again=named.again):
                    last.raise_to(series, named.number)
                    return named.path.relative_to(top).as_posix()
                if not named.again:
                    number = max(named.number, self._highest(series, named.number))
                if claim:
                    claim.release()

    def save_temporary(
        self, prefix: str, suffix: str, data: bytes | Iterable[Chunk], last: LastNumbers
    ) -> str:
        """Write a new numbered file and return its name."""
        return self.save(prefix, suffix, data, last)

    def keep(self, name: str, data: BinaryIO, *, overwrite: bool = False) -> str:
        """Write a file under a given name, or the next free one; return the name."""
        path = relative(name)
        if any(part.startswith(".") for part in path.parts):
            raise UnsafePathError(name, "hidden files are not stored")
        digest = hashlib.sha256()
        for chunk in _chunks(data):
            digest.update(chunk)
        sha256 = digest.hexdigest()
        with self._body(_chunks(data), sha256) as body:
            if overwrite:
                self.bucket.put(self._key(str(path)), body)
                return str(path)
            for candidate in _candidates(path):
                key = self.address.key(str(candidate))
                if self.bucket.put_new(key, body) or self.bucket.sha256(key) == sha256:
                    return str(candidate)
        raise AssertionError  # there are endlessly many candidates

    def check_writable(self) -> None:
        """Check that files can be written and listed: write the empty object `.nodegraph`."""
        self.bucket.check(self.address.prefix, self.address.key(PROBE))

    def check_signing(self) -> None:
        """Check that addresses of files can be signed."""
        self.bucket.check_signing()

    def _series(self, prefix: str, suffix: str) -> FileSeries:
        """Return the series of a prefix; its folder is the same on every machine."""
        folder, _, stem = prefix.replace("\\", "/").rpartition("/")
        if stem:
            relative(prefix)
        top = self.address.as_path
        return FileSeries(top / relative(folder) if folder else top, stem, suffix)

    def _write(self, path: Path, body: Body, *, again: bool) -> bool:
        """Write a numbered file; return False if it is another one's, or not of this folder."""
        top = self.address.as_path
        if not path.is_relative_to(top):
            return False
        key = self.address.key(path.relative_to(top).as_posix())
        if again:
            self.bucket.put(key, body)
            return True
        return self.bucket.put_new(key, body)

    def _highest(self, series: FileSeries, known: int) -> int:
        """Return the highest number of a series; `known` is one that it has."""
        below = series.folder.relative_to(self.address.as_path).as_posix()
        folder = self.address.below("" if below == "." else below)
        begins = folder.key(f"{series.stem}_")
        ordered = known < 10**5 - 1  # longer numbers come before shorter ones in the keys' order
        offset = folder.key(f"{series.stem}_{known:05}") if known and ordered else begins
        pattern = number_pattern(series.stem)
        keys = self.bucket.keys_from(folder.prefix, offset, begins)
        found = (pattern.match(key[len(folder.key("")) :]) for key in keys)
        return max((int(match[1]) for match in found if match), default=known)

    def _visible(self, folder: str) -> list[ObjectFacts]:
        found = self.bucket.listing(folder)
        return [each for each in found if not each.key.rpartition("/")[2].startswith(".")]

    def _name(self, facts: ObjectFacts) -> str:
        return facts.key[len(self.address.key("")) :]

    def _key(self, name: str) -> str:
        return self.address.key(str(relative(name)))

    @contextmanager
    def _body(self, data: bytes | Iterable[Chunk], sha256: str = "") -> Generator[Body]:
        """Have the whole content before anything of it is sent: in memory, or in a file."""
        if isinstance(data, bytes) and len(data) <= AT_ONCE:
            yield Body(data, sha256)
            return
        folder = self.copies.folder / "parts"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with part_in(folder, data, synced=False) as part:
                yield Body(part, sha256)
        except OSError as error:
            raise write_error(folder, error) from error


def _candidates(path: PurePosixPath) -> Iterator[PurePosixPath]:
    yield path
    yield from (path.with_name(f"{path.stem} ({number}){path.suffix}") for number in count(1))


def _chunks(data: BinaryIO) -> Iterator[bytes]:
    data.seek(0)
    while chunk := data.read(_CHUNK):
        yield chunk
