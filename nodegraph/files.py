"""The models, input, output and temp folders: safe paths, identities, atomic writes."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from nodegraph.errors import UnknownFileError
from nodegraph.folders import Folders, find_model, inside, model_files, relative
from nodegraph.identity import Identities
from nodegraph.results import Artifact, FolderType
from nodegraph.saving import check_prefix, check_writable, expand, save_numbered

_ANNOTATED = re.compile(r"(.*?) ?\[(input|output|temp)\]\s*")


class Files:
    """Where a run reads and writes."""

    def __init__(self, folders: Folders, identities: Identities | None = None) -> None:
        self.folders = folders
        self._identities = identities or Identities()

    def model_names(self, folder: str) -> list[str]:
        """Every file of a model folder, as workflows name it (`sub/name.safetensors`)."""
        places = self.folders.of_model(folder)
        names = (name for place in places for name in model_files(place, folder))
        return sorted(set(names))

    def model(self, folder: str, name: str) -> Path:
        """The path of a model file.

        Links out of the models folders are followed: whoever placed them may.

        Raises:
            UnknownFileError: no such file.
            UnsafePathError: the name leads elsewhere.
        """
        wanted = relative(name)
        for place in self.folders.of_model(folder):
            path = find_model(place, folder, wanted)
            if path:
                return path
        raise UnknownFileError(name, f"models/{folder}", self.model_names(folder))

    def input_names(self, suffixes: tuple[str, ...] = ()) -> list[str]:
        """Every file of the input folder that ends in one of `suffixes`.

        As in ComfyUI, not those of folders below it, which can be named all the same.
        """
        if not self.folders.input.is_dir():
            return []
        files = (path.name for path in self.folders.input.iterdir() if path.is_file())
        wanted = suffixes or ("",)
        return sorted(name for name in files if name.lower().endswith(wanted) and name[0] != ".")

    def input(self, name: str) -> Path:
        """The path of an input file; `name [output]` looks in the output folder.

        Raises:
            UnknownFileError: no such file.
            UnsafePathError: the name leads elsewhere.
        """
        annotated = _ANNOTATED.fullmatch(name)
        plain, kind = annotated.groups() if annotated else (name, "input")
        path = inside(self.root(cast("FolderType", kind)), plain)
        if not path.is_file():
            raise UnknownFileError(plain, f"the {kind} folder", self._names(path.parent, kind))
        return path

    def identity(self, path: Path) -> str:
        """The file's sha256, remembered by path, size, mtime and inode."""
        return self._identities.of(path)

    def save(
        self,
        root: FolderType,
        prefix: str,
        suffix: str,
        data: bytes,
        tokens: Mapping[str, object] | None = None,
    ) -> Artifact:
        """Write a new numbered file atomically: `prefix_00001_` + suffix.

        Args:
            root: which folder the prefix is relative to.
            prefix: how the name begins; may name a folder below (`day/cat`), and have
                `%date:yyyy-MM-dd%`, `%year%`, … and `%name%`s of `tokens` in it.
            suffix: how it ends: `.png`.
            data: the whole file.
            tokens: more to fill in: `width`, `height`.

        Raises:
            UnsafePathError: the prefix leads out of the folder.
            DiskFullError: there is no room.
            OutputFolderError: the folder can not be written.
        """
        base = self.root(root)
        path = save_numbered(base, expand(prefix, tokens or {}), suffix, data)
        subfolder = path.parent.relative_to(base).as_posix()
        return Artifact(path.name, "" if subfolder == "." else subfolder, root)

    def path(self, artifact: Artifact) -> Path:
        """Where an artifact lies; whether it still does is for the caller to see.

        Raises:
            UnsafePathError: it lies outside its folder.
        """
        parts = (artifact.subfolder, artifact.filename)
        return inside(self.root(artifact.type), "/".join(part for part in parts if part))

    def root(self, kind: FolderType) -> Path:
        """The input, output or temp folder."""
        return {
            "input": self.folders.input,
            "output": self.folders.output,
            "temp": self.folders.temp,
        }[kind]

    def check_writable(self) -> None:
        """Make sure that results can be written before anything is computed.

        Raises:
            DiskFullError: there is no room.
            OutputFolderError: the output folder can not be written.
        """
        check_writable(self.folders.output)

    def check_prefix(self, prefix: str) -> None:
        """Make sure that results could be saved under a prefix.

        Raises:
            UnsafePathError: it leads out of the output folder, or makes no file name.
        """
        check_prefix(self.folders.output, prefix)

    def _names(self, folder: Path, kind: str) -> list[str]:
        """What could have been meant: the files beside the one that is not there."""
        if not folder.is_dir():
            return self.input_names() if kind == "input" else []
        root = self.root(cast("FolderType", kind))
        files = (path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
        return sorted(path.relative_to(root).as_posix() for path in files)
