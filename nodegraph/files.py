"""The models, input, output and temp folders: safe paths, identities, atomic writes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Literal, cast

from nodegraph.errors import NoSourcesError, NotHereError, UnknownFileError, WrongHashError
from nodegraph.folders import Folders, find_model, inside, model_files, relative
from nodegraph.identity import Identities
from nodegraph.naming import Naming, Owner
from nodegraph.parts import Chunk
from nodegraph.references import HubReference, ModelName, in_folder, read_name
from nodegraph.results import Artifact, FolderType, marked
from nodegraph.saving import check_prefix, check_writable, expand, save_numbered
from nodegraph.sources import Origin, Sources, Watch

PARTS = ("encoder", "decoder")
"""What the files of a pair are called after its name."""
PICKLES = (".ckpt", ".pt", ".pth", ".bin")
"""What may be converted before it is read."""


class Files:
    """Where a run reads and writes.

    Args:
        folders: the folders.
        identities: remembers what files hash to.
        sources: opens what gets model files that are not simply there.
        watch: told of downloads and conversions; without one there are none.
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
        owner: Owner | None = None,
    ) -> None:
        self.folders = folders
        self._identities = identities or Identities()
        self._open_sources = sources
        self._watch = watch
        self._naming = naming
        self._owner = owner

    def named(self, naming: Naming) -> "Files":
        """The same files, but `naming` remembers the numbers of what nodes save in the output."""
        return Files(self.folders, self._identities, self._open_sources, self._watch, naming)

    def of(self, owner: str) -> "Files":
        """The same models, but that owner's own input, output and temp folder."""
        folders = self.folders.of(owner)
        return Files(folders, self._identities, self._open_sources, self._watch, self._naming)

    def watched(self, watch: Watch, owner: Owner | None = None) -> "Files":
        """The same files, but what is not here is downloaded, or converted, when asked for.

        Args:
            watch: told of it.
            owner: the node that saves.
        """
        return Files(self.folders, self._identities, self._open_sources, watch, self._naming, owner)

    @property
    def sources(self) -> Sources:
        """What gets model files that are not simply there.

        Raises:
            NoSourcesError: there is nothing that does.
        """
        if self._open_sources is None:
            raise NoSourcesError
        return self._open_sources()

    def model_names(self, folder: str) -> list[str]:
        """Every file of a model folder, as workflows name it (`sub/name.safetensors`)."""
        places = self.folders.of_model(folder)
        names = (name for place in places for name in model_files(place, folder))
        return sorted(set(names))

    def model(self, folder: str, name: str) -> Path:
        """The path of a model file, or of a folder of them, as loaders read it.

        The name is a path below the folder or a reference; see `nodegraph.references`. A hash
        in it is checked. Links out of the models folders are followed: whoever placed them may.

        Raises:
            UnknownFileError: no such file.
            UnsafePathError: the name leads elsewhere.
            BadReferenceError: it is a malformed reference.
            WrongHashError: the file is another one.
            NotHereError: it must be downloaded or converted first, and nobody watches.
            NodeGraphError: that failed.
        """
        path = self.model_source(folder, name)
        if not path.name.lower().endswith(PICKLES) or self._open_sources is None:
            return path
        loadable = self.sources.loadable(path, self._watch)
        if loadable is None:
            raise NotHereError(name, "converted")
        return loadable

    def model_source(self, folder: str, name: str) -> Path:
        """As `model`, but the file itself where loaders read what it was converted to."""
        wanted = read_name(name)
        path = self._fetched(folder, wanted) if wanted.hub else self._placed(folder, wanted.plain)
        if wanted.sha256:
            found = self.identity(path)
            if found != wanted.sha256:
                raise WrongHashError(name.partition("#")[0], wanted.sha256, found, "its name")
        return path

    def model_pairs(self, folder: str, names: Iterable[str]) -> list[str]:
        """Those of the names whose two files are there; see `nodegraph.markers.Pairs`."""
        wanted = list(names)
        there = self.model_names(folder) if wanted else []
        stems = {PurePosixPath(name).stem for name in there}
        return [name for name in wanted if {f"{name}_{part}" for part in PARTS} <= stems]

    def model_pair(self, folder: str, name: str) -> tuple[Path, Path]:
        """The encoder's and the decoder's file of a pair, as loaders read them.

        Raises:
            UnknownFileError: one of them is not there.
            NodeGraphError: it must be converted first, and that failed.
        """
        encoder, decoder = (self.model(folder, file) for file in self._pair(folder, name))
        return encoder, decoder

    def pair_content(self, folder: str, name: str) -> str:
        """What tells the two files of a pair from any others."""
        return "+".join(self.model_content(folder, file) for file in self._pair(folder, name))

    def _pair(self, folder: str, name: str) -> Iterator[str]:
        return (self.model_called(folder, f"{name}_{part}") for part in PARTS)

    def model_called(self, folder: str, stem: str) -> str:
        """A model file by its name without a suffix; of several, a safetensors file.

        Raises:
            UnknownFileError: there is none.
        """
        names = self.model_names(folder)
        found = [name for name in names if PurePosixPath(name).stem == stem]
        if not found:
            raise UnknownFileError(stem, f"models/{folder}", names)
        return min(found, key=lambda name: name.endswith(PICKLES))

    def model_content(self, folder: str, name: str) -> str:
        """What tells a model file's content from any other: its hash, or its place on a hub.

        For a reference that was never used before this asks the hub, and downloads nothing.
        """
        wanted = read_name(name)
        if wanted.hub is None:
            return self.identity(self.model_source(folder, name))
        return str(self.sources.pinned(in_folder(folder, wanted.hub)))

    def model_origin(self, folder: str, name: str) -> Origin | None:
        """Where on a hub a model file comes from, if it does and is here."""
        wanted = read_name(name)
        return self.sources.here(in_folder(folder, wanted.hub)) if wanted.hub else None

    def _placed(self, folder: str, name: str) -> Path:
        wanted = relative(name)
        for place in self.folders.of_model(folder):
            path = find_model(place, folder, wanted)
            if path:
                return path
        raise UnknownFileError(name, f"models/{folder}", self.model_names(folder))

    def _fetched(self, folder: str, wanted: ModelName) -> Path:
        reference = in_folder(folder, cast("HubReference", wanted.hub))
        if self._watch:
            return self.sources.fetch(reference, self._watch).path
        origin = self.sources.here(reference)
        if origin is None:
            raise NotHereError(str(reference))
        return origin.path

    def input_names(
        self, suffixes: tuple[str, ...] = (), kind: Literal["input", "output"] = "input"
    ) -> list[str]:
        """Every file of the input folder that ends in one of `suffixes`, as `input` takes it.

        Those of the output folder are named `name [output]`. As in ComfyUI, not those of folders
        below it, which can be named all the same.
        """
        folder, mark = self.root(kind), "" if kind == "input" else f" [{kind}]"
        if not folder.is_dir():
            return []
        files = (path.name for path in folder.iterdir() if path.is_file())
        wanted = suffixes or ("",)
        fitting = sorted(n for n in files if n.lower().endswith(wanted) and n[0] != ".")
        return [name + mark for name in fitting]

    def input(self, name: str) -> Path:
        """The path of an input file; `name [output]` looks in the output folder.

        Raises:
            UnknownFileError: no such file.
            UnsafePathError: the name leads elsewhere.
        """
        plain, kind = marked(name)
        path = inside(self.root(kind), plain)
        if not path.is_file():
            raise UnknownFileError(plain, f"the {kind} folder", self._names(path.parent, kind))
        return path

    def identity(self, path: Path) -> str:
        """The file's sha256, remembered by path, size, mtime and inode."""
        return self._identities.of(path)

    def recorded_identity(self, path: Path) -> str:
        """The sha256 that is remembered for a file; empty if none is, or the file changed."""
        return self._identities.recorded(path)

    def fresh_identity(self, path: Path) -> str:
        """The file's sha256, read now whatever is remembered."""
        return self._identities.fresh(path)

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
            root: which folder the prefix is relative to.
            prefix: how the name begins; may name a folder below (`day/cat`), and have
                `%date:yyyy-MM-dd%`, `%year%`, … and `%name%`s of `tokens` in it.
            suffix: how it ends: `.png`.
            data: the whole file, or its chunks one after the other.
            tokens: more to fill in: `width`, `height`.

        Raises:
            UnsafePathError: the prefix leads out of the folder.
            DiskFullError: there is no room.
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
