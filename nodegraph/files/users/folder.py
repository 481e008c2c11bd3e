"""A folder of a user's files, as the rest of the program sees it, wherever it lies."""

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol

from nodegraph.files.atomic import Chunk
from nodegraph.files.file_names import Claim, LastNumbers


class StoredFile(Protocol):
    """A file that exists in a user's folder."""

    @property
    def name(self) -> str:
        """Its name, without folders."""
        ...

    def local(self) -> Path:
        """Return a path to read it at; of a file that lies elsewhere, a copy.

        Raises:
            UnknownFileError: it is gone.
            ObjectStoreError: it can not be had.
        """
        ...


class UserFolder(Protocol):
    """An input, output or temp folder. Names are `/`-separated and relative to it."""

    def names(self, below: str = "") -> list[str]:
        """Return the names of the files directly in it, or in a folder below; none if hidden."""
        ...

    def newest_first(self) -> list[str]:
        """Return the names of the files directly in it, the newest first; none if hidden."""
        ...

    def find(self, name: str) -> StoredFile | None:
        """Return the file of that name; None if there is none.

        Raises:
            UnsafePathError: the name leads out of the folder.
        """
        ...

    def place(self, name: str) -> str:
        """Return where a file of that name lies, as people are told; it need not exist.

        Raises:
            UnsafePathError: the name leads out of the folder.
        """
        ...

    def save(
        self,
        prefix: str,
        suffix: str,
        data: bytes | Iterable[Chunk],
        last: LastNumbers,
        claim: Claim | None = None,
    ) -> str:
        """Write a new numbered file, whole or not at all, and return its name.

        Raises:
            UnsafePathError: the prefix leads out of the folder.
            DiskFullError: the disk is full.
            OutputFolderError: the folder can not be written.
            ObjectStoreError: the object store can not be written.
        """
        ...

    def save_temporary(
        self, prefix: str, suffix: str, data: bytes | Iterable[Chunk], last: LastNumbers
    ) -> str:
        """Write a new numbered file that need not last; raises what `save` raises."""
        ...

    def keep(self, name: str, data: BinaryIO, *, overwrite: bool = False) -> str:
        """Write a file under a given name, or `name (1)`, … if others have it; return the name.

        If one of these files has the same bytes already, nothing is written.
        Raises what `save` raises.
        """
        ...

    def check_writable(self) -> None:
        """Check that files can be written, before anything is computed; raises as `save` does."""
        ...


class FolderElsewhere(Protocol):
    """An input, output or temp folder that is no local one, with those of its owners below it."""

    def of(self, owner: str) -> UserFolder:
        """Return the folder of one owner; the whole if empty."""
        ...

    def check_signing(self) -> None:
        """Check that addresses of its files can be signed.

        Raises:
            ObjectStoreError: they can not be.
        """
        ...
