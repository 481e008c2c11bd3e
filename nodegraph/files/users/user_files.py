"""The files of users: read from the input, output and temp folder, saved under numbered names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from nodegraph.errors import UnknownFileError
from nodegraph.files.atomic import Chunk
from nodegraph.files.file_names import LastNumbers, Naming, SaveSlot
from nodegraph.files.folders import Folders, inside
from nodegraph.files.users.folder import FolderElsewhere, StoredFile, UserFolder
from nodegraph.files.users.local import LocalFolder
from nodegraph.files.users.numbered import check_prefix, expand
from nodegraph.graph.results import Artifact, FolderType, split_mark


@dataclass(frozen=True, slots=True)
class UserFiles:
    """The files of the input, output and temp folder.

    Attributes:
        folders: the local folders.
        elsewhere: those that lie in an object store; the local ones in their place hold what
            programs leave there that know of no other folders.
    """

    folders: Folders
    elsewhere: Mapping[FolderType, FolderElsewhere] = field(
        default_factory=dict[FolderType, FolderElsewhere]
    )

    def root(self, kind: FolderType) -> Path:
        """Return the local input, output or temp folder."""
        return {
            "input": self.folders.input,
            "output": self.folders.output,
            "temp": self.folders.temp,
        }[kind]

    def folder(self, kind: FolderType) -> UserFolder:
        """Return the input, output or temp folder, wherever it lies."""
        elsewhere = self.elsewhere.get(kind)
        return elsewhere.of(self.folders.owner) if elsewhere else LocalFolder(self.root(kind))

    def names(self, suffixes: tuple[str, ...], kind: Literal["input", "output"]) -> list[str]:
        """Return the files of the input or output folder that end in one of `suffixes`.

        They are named as `find` takes them: those of the output folder `name [output]`. As in
        ComfyUI, files of subfolders are left out, though `find` takes them.
        """
        mark = "" if kind == "input" else f" [{kind}]"
        wanted = suffixes or ("",)
        names = self.folder(kind).names()
        return [name + mark for name in sorted(names) if name.lower().endswith(wanted)]

    def find(self, name: str) -> Path:
        """Return the path of an input file; `name [output]` looks in the output folder.

        Of a folder in an object store, it is the path of a local copy.

        Raises:
            UnknownFileError: no such file.
            UnsafePathError: the name leads elsewhere.
            ObjectStoreError: the file can not be had.
        """
        plain, kind = split_mark(name)
        found = self.folder(kind).find(plain)
        if found is None:
            raise UnknownFileError(plain, f"the {kind} folder", self._nearby_names(plain, kind))
        return found.local()

    def has_input(self, name: str) -> bool:
        """Say if an input file exists, as `find` takes it.

        Raises:
            UnsafePathError: the name leads elsewhere.
            ObjectStoreError: nobody can say.
        """
        plain, kind = split_mark(name)
        return self.folder(kind).find(plain) is not None

    def path(self, artifact: Artifact) -> Path:
        """Return the path of an artifact; in a local folder, whether or not it still exists.

        Of a folder in an object store, it is the path of a local copy.

        Raises:
            UnsafePathError: it lies outside its folder.
            UnknownFileError: it does not exist, in an object store.
            ObjectStoreError: the file can not be had.
        """
        if artifact.type not in self.elsewhere:
            return inside(self.root(artifact.type), artifact.name)
        return self.find(f"{artifact.name} [{artifact.type}]")

    def find_artifact(self, artifact: Artifact) -> StoredFile | None:
        """Return the file of an artifact; None if it is gone.

        Raises:
            UnsafePathError: it lies outside its folder.
            ObjectStoreError: nobody can say.
        """
        return self.folder(artifact.type).find(artifact.name)

    def place(self, artifact: Artifact) -> str:
        """Return where an artifact lies, as people are told: a path, or an address.

        Raises:
            UnsafePathError: it lies outside its folder.
        """
        return self.folder(artifact.type).place(artifact.name)

    def _nearby_names(self, name: str, kind: FolderType) -> list[str]:
        """Return the files beside one that does not exist, for suggestions."""
        above = PurePosixPath(name.replace("\\", "/")).parent.as_posix()
        found = self.folder(kind).names("" if above == "." else above)
        return sorted(found) or (self.names((), "input") if kind == "input" else [])


@dataclass(frozen=True, slots=True)
class Saver:
    """Writes new files under numbered names.

    Attributes:
        users: the folders that it writes to.
        last_numbers: the last number of each series in the temp folder, or in an object store.
        naming: remembers which numbers a run's files have; without it, the next free one is used.
        slot: the node that saves.
    """

    users: UserFiles
    last_numbers: LastNumbers
    naming: Naming | None = None
    slot: SaveSlot | None = None

    def save(
        self,
        root: FolderType,
        prefix: str,
        suffix: str,
        data: bytes | Iterable[Chunk],
        tokens: Mapping[str, object],
    ) -> Artifact:
        """Write a new file; see `Files.save`."""
        folder = self.users.folder(root)
        name = expand(prefix, tokens)
        if root == "temp":
            return artifact_of(folder.save_temporary(name, suffix, data, self.last_numbers), root)
        claim = None
        if root == "output" and self.naming and self.slot:
            claim = self.naming.next_file(self.slot)
        return artifact_of(folder.save(name, suffix, data, self.last_numbers, claim), root)

    def check_writable(self) -> None:
        """Check that results can be written, before anything is computed.

        Raises:
            DiskFullError: the disk is full.
            OutputFolderError: the output folder can not be written.
            ObjectStoreError: the object store can not be written.
        """
        self.users.folder("output").check_writable()

    def check_prefix(self, prefix: str) -> None:
        """Check that results can be saved under a prefix.

        Raises:
            UnsafePathError: it leads out of the output folder, or makes no file name.
        """
        check_prefix(self.users.folders.output, prefix)


def artifact_of(name: str, kind: FolderType) -> Artifact:
    """Return the artifact of a file, by its name below its folder."""
    subfolder, _, filename = name.rpartition("/")
    return Artifact(filename, subfolder, kind)
