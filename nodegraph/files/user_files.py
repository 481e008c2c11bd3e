"""The files of users: read from the input, output and temp folder, saved under numbered names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nodegraph.errors import UnknownFileError
from nodegraph.files.atomic import Chunk
from nodegraph.files.file_names import LastNumbers, Naming, SaveSlot
from nodegraph.files.folders import Folders, inside
from nodegraph.files.numbered import (
    check_prefix,
    check_writable,
    expand,
    save_numbered,
    save_temporary,
)
from nodegraph.graph.results import Artifact, FolderType, split_mark


@dataclass(frozen=True, slots=True)
class UserFiles:
    """The files of the input, output and temp folder."""

    folders: Folders

    def root(self, kind: FolderType) -> Path:
        """Return the input, output or temp folder."""
        return {
            "input": self.folders.input,
            "output": self.folders.output,
            "temp": self.folders.temp,
        }[kind]

    def names(self, suffixes: tuple[str, ...], kind: Literal["input", "output"]) -> list[str]:
        """Return the files of the input or output folder that end in one of `suffixes`.

        They are named as `find` takes them: those of the output folder `name [output]`. As in
        ComfyUI, files of subfolders are left out, though `find` takes them.
        """
        folder, mark = self.root(kind), "" if kind == "input" else f" [{kind}]"
        if not folder.is_dir():
            return []
        files = (path.name for path in folder.iterdir() if path.is_file())
        wanted = suffixes or ("",)
        fitting = sorted(n for n in files if n.lower().endswith(wanted) and n[0] != ".")
        return [name + mark for name in fitting]

    def find(self, name: str) -> Path:
        """Return the path of an input file; `name [output]` looks in the output folder.

        Raises:
            UnknownFileError: no such file.
            UnsafePathError: the name leads elsewhere.
        """
        plain, kind = split_mark(name)
        path = inside(self.root(kind), plain)
        if not path.is_file():
            nearby = self._nearby_names(path.parent, kind)
            raise UnknownFileError(plain, f"the {kind} folder", nearby)
        return path

    def path(self, artifact: Artifact) -> Path:
        """Return the path of an artifact, whether or not the file still exists.

        Raises:
            UnsafePathError: it lies outside its folder.
        """
        parts = (artifact.subfolder, artifact.filename)
        return inside(self.root(artifact.type), "/".join(part for part in parts if part))

    def _nearby_names(self, folder: Path, kind: FolderType) -> list[str]:
        """Return the files beside one that does not exist, for suggestions."""
        if not folder.is_dir():
            return self.names((), "input") if kind == "input" else []
        root = self.root(kind)
        files = (path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
        return sorted(path.relative_to(root).as_posix() for path in files)


@dataclass(frozen=True, slots=True)
class Saver:
    """Writes new files under numbered names.

    Attributes:
        users: the folders that it writes to.
        last_numbers: the last number of each series in the temp folder.
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
        base = self.users.root(root)
        name = expand(prefix, tokens)
        if root == "temp":
            path = save_temporary(base, name, suffix, data, self.last_numbers)
            return _artifact(path, base, root)
        claim = None
        if root == "output" and self.naming and self.slot:
            claim = self.naming.next_file(self.slot)
        return _artifact(save_numbered(base, name, suffix, data, claim), base, root)

    def check_writable(self) -> None:
        """Check that results can be written, before anything is computed.

        Raises:
            DiskFullError: the disk is full.
            OutputFolderError: the output folder can not be written.
        """
        check_writable(self.users.folders.output)

    def check_prefix(self, prefix: str) -> None:
        """Check that results can be saved under a prefix.

        Raises:
            UnsafePathError: it leads out of the output folder, or makes no file name.
        """
        check_prefix(self.users.folders.output, prefix)


def _artifact(path: Path, base: Path, root: FolderType) -> Artifact:
    subfolder = path.parent.relative_to(base).as_posix()
    return Artifact(path.name, "" if subfolder == "." else subfolder, root)
