"""The files that a run reads and writes: models, and the input, output and temp folders."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from nodegraph.errors import ObjectStoreError, SettingsError
from nodegraph.files.atomic import Chunk
from nodegraph.files.file_names import LastNumbers, Naming, SaveSlot
from nodegraph.files.folders import Folders
from nodegraph.files.identity import Identities
from nodegraph.files.models import ModelFiles, ModelsElsewhere
from nodegraph.files.sources import Sources, Watch
from nodegraph.files.users.folder import FolderElsewhere
from nodegraph.files.users.user_files import Saver, UserFiles
from nodegraph.graph.results import Artifact, FolderType


@dataclass(frozen=True, eq=False)
class Files:
    """The files that a run reads and writes.

    Its methods are those that node functions call; `models`, `users` and `saver` have the rest.
    """

    folders: Folders
    identities: Identities = field(default_factory=Identities)
    """The cache of files' hashes."""
    open_sources: Callable[[], Sources] | None = None
    """Opens the sources of models on a hub, or of models that need converting."""
    watch: Watch | None = None
    """The listener for downloads and conversions; if None, there are none of these."""
    naming: Naming | None = None
    """Remembers which numbers a run's files have."""
    slot: SaveSlot | None = None
    """The node that saves."""
    last_numbers: LastNumbers = field(default_factory=LastNumbers)
    """The last number of each series in the temp folder, or in an object store."""
    elsewhere: Mapping[FolderType, FolderElsewhere] = field(
        default_factory=dict[FolderType, FolderElsewhere]
    )
    """The input, output and temp folders that lie in an object store."""
    model_roots: Mapping[Path, ModelsElsewhere] = field(default_factory=dict[Path, ModelsElsewhere])
    """The roots of models that lie in an object store, by the local folders for them."""

    def for_owner(self, owner: str) -> "Files":
        """Return the same models, but with that owner's own input, output and temp folder."""
        return replace(self, folders=self.folders.for_owner(owner))

    def saving_in(self, place: Path) -> "Files":
        """Return files to read the same from, with results in a folder that nobody looks into."""
        here = {kind: folder for kind, folder in self.elsewhere.items() if kind == "input"}
        folders = self.folders.saving_in(place)
        return replace(self, folders=folders, naming=None, elsewhere=here)

    @cached_property
    def models(self) -> ModelFiles:
        """The files of the model folders."""
        return ModelFiles(
            self.folders, self.identities, self.open_sources, self.watch, self.model_roots
        )

    @cached_property
    def users(self) -> UserFiles:
        """The files of the input, output and temp folder."""
        return UserFiles(self.folders, self.elsewhere)

    @cached_property
    def saver(self) -> Saver:
        """Writes new files."""
        return Saver(self.users, self.last_numbers, self.naming, self.slot)

    def model_names(self, folder: str) -> list[str]:
        """Return every file of a model folder, as workflows name it (`sub/name.safetensors`)."""
        return self.models.names(folder)

    def model(self, folder: str, name: str) -> Path:
        """Return the path of a model file, or of a folder of them, as loaders read it.

        Raises:
            NodeGraphError: there is none of that name; see `ModelFiles.loadable`.
        """
        return self.models.loadable(folder, name)

    def input_names(
        self, suffixes: tuple[str, ...] = (), kind: Literal["input", "output"] = "input"
    ) -> list[str]:
        """Return the files of a folder, as `input` takes them; see `UserFiles.names`."""
        return self.users.names(suffixes, kind)

    def input(self, name: str) -> Path:
        """Return the path of an input file; `name [output]` looks in the output folder.

        Of a folder in an object store, it is the path of a local copy.

        Raises:
            UnknownFileError: no such file.
            UnsafePathError: the name leads elsewhere.
            ObjectStoreError: the file can not be had.
        """
        return self.users.find(name)

    def identity(self, path: Path) -> str:
        """Return the file's sha256, remembered by path, size, mtime and inode."""
        return self.identities.sha256(path)

    def save(
        self,
        root: FolderType,
        prefix: str,
        suffix: str,
        data: bytes | Iterable[Chunk],
        tokens: Mapping[str, object] | None = None,
    ) -> Artifact:
        """Write a new numbered file atomically: `prefix_00001_` + suffix.

        Args:
            root: the folder that the prefix is relative to.
            prefix: the start of the name; may name a folder below (`day/cat`), and contain
                `%date:yyyy-MM-dd%`, `%year%`, … and `%name%`s of `tokens`.
            suffix: the end of the name: `.png`.
            data: the whole file, or its chunks one after the other.
            tokens: further values to fill in: `width`, `height`.

        Raises:
            UnsafePathError: the prefix leads out of the folder.
            DiskFullError: the disk is full.
            OutputFolderError: the folder can not be written.
            ObjectStoreError: the object store can not be written.
        """
        return self.saver.save(root, prefix, suffix, data, tokens or {})

    def path(self, artifact: Artifact) -> Path:
        """Return the path of an artifact, or of a local copy; see `UserFiles.path`."""
        return self.users.path(artifact)

    @property
    def has_stores(self) -> bool:
        """True if a folder lies in an object store."""
        return bool(self.elsewhere or self.model_roots)

    def check_elsewhere(self, *, signed: bool = False) -> None:
        """Check that the folders in object stores can be used: listed, and written but for models.

        Args:
            signed: clients are to be redirected to addresses there, too.

        Raises:
            SettingsError: one can not be, and the setting that names it.
        """
        for kind, folder in self.elsewhere.items():
            _check(f"{kind}_dir", folder.of("").check_writable)
            if signed:
                _check("server.signed_urls", folder.check_signing)
        for root in self.model_roots.values():
            _check("models_dir", root.check)

    def root(self, kind: FolderType) -> Path:
        """Return the input, output or temp folder."""
        return self.users.root(kind)


def _check(setting: str, check: Callable[[], None]) -> None:
    try:
        check()
    except ObjectStoreError as error:
        message = f"the setting {setting!r}: {error.message}"
        raise SettingsError(message, hint=error.hint) from error
