"""The models, input, output and temp folders: safe paths, identities, atomic writes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Literal, cast

from nodegraph.errors import NoSourcesError, NotHereError, UnknownFileError, WrongHashError
from nodegraph.files.atomic import Chunk
from nodegraph.files.file_names import Naming, SaveSlot
from nodegraph.files.folders import Folders, find_model, inside, model_files, relative
from nodegraph.files.identity import Identities
from nodegraph.files.numbered import check_prefix, check_writable, expand, save_numbered
from nodegraph.files.references import HubReference, ModelName, in_folder, read_name
from nodegraph.files.sources import Origin, Sources, Watch
from nodegraph.graph.results import Artifact, FolderType, split_mark

PARTS = ("encoder", "decoder")
"""The suffixes of a pair's two files: `NAME_encoder` and `NAME_decoder`."""
PICKLES = (".ckpt", ".pt", ".pth", ".bin")
"""The suffixes of files that are converted before they are read."""


class Files:
    """The files that a run reads and writes.

    Args:
        folders: the folders.
        identities: remembers what files hash to.
        sources: opens the sources of models on a hub, or of models that need converting.
        watch: is told of downloads and conversions; without one there are none.
        naming: remembers which numbers a run's files have.
        owner: the node that saves.
    """

    def __init__(
        self,
        folders: Folders,
        identities: Identities | None = None,
        sources: Callable[[], Sources] | None = None,
        watch: Watch | None = None,
        naming: Naming | None = None,
        owner: SaveSlot | None = None,
    ) -> None:
        self.folders = folders
        self._identities = identities or Identities()
        self._open_sources = sources
        self._watch = watch
        self._naming = naming
        self._owner = owner

    def with_naming(self, naming: Naming) -> "Files":
        """Return the same files, but let `naming` remember the numbers of saved outputs."""
        return Files(self.folders, self._identities, self._open_sources, self._watch, naming)

    def for_owner(self, owner: str) -> "Files":
        """Return the same models, but with that owner's own input, output and temp folder."""
        folders = self.folders.for_owner(owner)
        return Files(folders, self._identities, self._open_sources, self._watch, self._naming)

    def with_watch(self, watch: Watch, owner: SaveSlot | None = None) -> "Files":
        """Return the same files, but download or convert missing models when they are asked for.

        Args:
            watch: is told of downloads and conversions.
            owner: the node that saves.
        """
        return Files(self.folders, self._identities, self._open_sources, watch, self._naming, owner)

    @property
    def sources(self) -> Sources:
        """The sources of model files that are on a hub or need converting.

        Raises:
            NoSourcesError: none are installed.
        """
        if self._open_sources is None:
            raise NoSourcesError
        return self._open_sources()

    def model_names(self, folder: str) -> list[str]:
        """Return every file of a model folder, as workflows name it (`sub/name.safetensors`)."""
        places = self.folders.of_model(folder)
        names = (name for place in places for name in model_files(place, folder))
        return sorted(set(names))

    def model(self, folder: str, name: str) -> Path:
        """Return the path of a model file, or of a folder of them, as loaders read it.

        The name is a path below the folder or a reference; see `nodegraph.files.references`. A hash
        in it is checked. Symbolic links out of the models folders are followed.

        Raises:
            UnknownFileError: no such file.
            UnsafePathError: the name leads elsewhere.
            BadReferenceError: it is a malformed reference.
            WrongHashError: the file has another hash.
            NotHereError: it must be downloaded or converted first, and there is no watch.
            NodeGraphError: the download or the conversion failed.
        """
        path = self.model_source(folder, name)
        if not path.name.lower().endswith(PICKLES) or self._open_sources is None:
            return path
        loadable = self.sources.loadable(path, self._watch)
        if loadable is None:
            raise NotHereError(name, "converted")
        return loadable

    def model_source(self, folder: str, name: str) -> Path:
        """Return the path of a model file as `model` does, but before any conversion."""
        wanted = read_name(name)
        path = (
            self._hub_model(folder, wanted)
            if wanted.hub
            else self._local_model(folder, wanted.plain)
        )
        if wanted.sha256:
            found = self.identity(path)
            if found != wanted.sha256:
                raise WrongHashError(name.partition("#")[0], wanted.sha256, found, "its name")
        return path

    def model_pairs(self, folder: str, names: Iterable[str]) -> list[str]:
        """Return those of the names whose two files exist; see `markers.Pairs`."""
        wanted = list(names)
        there = self.model_names(folder) if wanted else []
        stems = {PurePosixPath(name).stem for name in there}
        return [name for name in wanted if {f"{name}_{part}" for part in PARTS} <= stems]

    def model_pair(self, folder: str, name: str) -> tuple[Path, Path]:
        """Return the encoder's and the decoder's file of a pair, as loaders read them.

        Raises:
            UnknownFileError: one of them does not exist.
            NodeGraphError: the conversion of one failed.
        """
        encoder, decoder = (self.model(folder, file) for file in self._pair(folder, name))
        return encoder, decoder

    def pair_content(self, folder: str, name: str) -> str:
        """Return a text that identifies the content of a pair's two files."""
        return "+".join(self.model_content(folder, file) for file in self._pair(folder, name))

    def _pair(self, folder: str, name: str) -> Iterator[str]:
        return (self.model_called(folder, f"{name}_{part}") for part in PARTS)

    def model_called(self, folder: str, stem: str) -> str:
        """Find a model file by its name without a suffix; of several, a safetensors file.

        Raises:
            UnknownFileError: there is none.
        """
        names = self.model_names(folder)
        found = [name for name in names if PurePosixPath(name).stem == stem]
        if not found:
            raise UnknownFileError(stem, f"models/{folder}", names)
        return min(found, key=lambda name: name.endswith(PICKLES))

    def model_content(self, folder: str, name: str) -> str:
        """Return a text that identifies a model file's content: its hash, or its commit on a hub.

        For a reference that was never used before, it asks the hub, but downloads nothing.
        """
        wanted = read_name(name)
        if wanted.hub is None:
            return self.identity(self.model_source(folder, name))
        return str(self.sources.pin(in_folder(folder, wanted.hub)))

    def model_origin(self, folder: str, name: str) -> Origin | None:
        """Return where on a hub a local model file comes from; None if it comes from elsewhere."""
        wanted = read_name(name)
        return self.sources.find_local(in_folder(folder, wanted.hub)) if wanted.hub else None

    def _local_model(self, folder: str, name: str) -> Path:
        wanted = relative(name)
        for place in self.folders.of_model(folder):
            path = find_model(place, folder, wanted)
            if path:
                return path
        raise UnknownFileError(name, f"models/{folder}", self.model_names(folder))

    def _hub_model(self, folder: str, wanted: ModelName) -> Path:
        reference = in_folder(folder, cast("HubReference", wanted.hub))
        if self._watch:
            return self.sources.fetch(reference, self._watch).path
        origin = self.sources.find_local(reference)
        if origin is None:
            raise NotHereError(str(reference))
        return origin.path

    def input_names(
        self, suffixes: tuple[str, ...] = (), kind: Literal["input", "output"] = "input"
    ) -> list[str]:
        """Return the files of the input or output folder that end in one of `suffixes`.

        They are named as `input` takes them: those of the output folder `name [output]`. As in
        ComfyUI, files of subfolders are left out, though `input` takes them.
        """
        folder, mark = self.root(kind), "" if kind == "input" else f" [{kind}]"
        if not folder.is_dir():
            return []
        files = (path.name for path in folder.iterdir() if path.is_file())
        wanted = suffixes or ("",)
        fitting = sorted(n for n in files if n.lower().endswith(wanted) and n[0] != ".")
        return [name + mark for name in fitting]

    def input(self, name: str) -> Path:
        """Return the path of an input file; `name [output]` looks in the output folder.

        Raises:
            UnknownFileError: no such file.
            UnsafePathError: the name leads elsewhere.
        """
        plain, kind = split_mark(name)
        path = inside(self.root(kind), plain)
        if not path.is_file():
            raise UnknownFileError(
                plain, f"the {kind} folder", self._nearby_names(path.parent, kind)
            )
        return path

    def identity(self, path: Path) -> str:
        """Return the file's sha256, remembered by path, size, mtime and inode."""
        return self._identities.sha256(path)

    def recorded_identity(self, path: Path) -> str:
        """Return the remembered sha256 of a file; empty if there is none, or the file changed."""
        return self._identities.known_sha256(path)

    def fresh_identity(self, path: Path) -> str:
        """Hash the file anew, whatever is remembered, and return its sha256."""
        return self._identities.rehash(path)

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
        """
        base = self.root(root)
        claim = None
        if root == "output" and self._naming and self._owner:
            claim = self._naming.next_file(self._owner)
        path = save_numbered(base, expand(prefix, tokens or {}), suffix, data, claim)
        subfolder = path.parent.relative_to(base).as_posix()
        return Artifact(path.name, "" if subfolder == "." else subfolder, root)

    def path(self, artifact: Artifact) -> Path:
        """Return the path of an artifact, whether or not the file still exists.

        Raises:
            UnsafePathError: it lies outside its folder.
        """
        parts = (artifact.subfolder, artifact.filename)
        return inside(self.root(artifact.type), "/".join(part for part in parts if part))

    def root(self, kind: FolderType) -> Path:
        """Return the input, output or temp folder."""
        return {
            "input": self.folders.input,
            "output": self.folders.output,
            "temp": self.folders.temp,
        }[kind]

    def check_writable(self) -> None:
        """Check that results can be written, before anything is computed.

        Raises:
            DiskFullError: the disk is full.
            OutputFolderError: the output folder can not be written.
        """
        check_writable(self.folders.output)

    def check_prefix(self, prefix: str) -> None:
        """Check that results can be saved under a prefix.

        Raises:
            UnsafePathError: it leads out of the output folder, or makes no file name.
        """
        check_prefix(self.folders.output, prefix)

    def _nearby_names(self, folder: Path, kind: str) -> list[str]:
        """Return the files beside one that does not exist, for suggestions."""
        if not folder.is_dir():
            return self.input_names() if kind == "input" else []
        root = self.root(cast("FolderType", kind))
        files = (path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
        return sorted(path.relative_to(root).as_posix() for path in files)
