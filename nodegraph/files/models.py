"""The model files of a run: found by name, downloaded or converted where they have to be."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol, cast

from nodegraph.errors import NoSourcesError, NotHereError, UnknownFileError, WrongHashError
from nodegraph.files.folders import Folders, find_model, model_files, models_among, relative
from nodegraph.files.identity import Identities
from nodegraph.files.references import HubReference, ModelName, in_folder, read_name
from nodegraph.files.sources import Origin, Sources, Watch

PAIR = ("encoder", "decoder")
"""The suffixes of a pair's two files: `NAME_encoder` and `NAME_decoder`."""
PICKLES = (".ckpt", ".pt", ".pth", ".bin")
"""The suffixes of files that are converted before they are read."""


class ModelsElsewhere(Protocol):
    """A root of model folders in an object store; its files are fetched to a local folder."""

    def check(self) -> None:
        """Check that it can be read.

        Raises:
            NodeGraphError: it can not be.
        """
        ...

    def files_in(self, place: Path) -> list[str]:
        """Return the names of the files there that a local directory stands for, below it."""
        ...

    def has(self, path: Path) -> bool:
        """Say if there is a file of that name, or a folder with a `model_index.json`."""
        ...

    def version(self, path: Path) -> str:
        """Return a text that identifies the content of a file, or of a folder of them."""
        ...

    def fetch(self, path: Path, watch: Watch | None) -> Path:
        """Have a file, all shards of one, or a diffusers folder, on the disk; return its path.

        Raises:
            NotHereError: it would have to be fetched, and there is no watch.
            NodeGraphError: it can not be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of the model folders, by the names that workflows have for them.

    A name is a path below the folder or a reference; see `nodegraph.files.references`. Symbolic
    links out of the models folders are followed.
    """

    folders: Folders
    identities: Identities
    open_sources: Callable[[], Sources] | None = None
    watch: Watch | None = None
    elsewhere: Mapping[Path, ModelsElsewhere] = field(default_factory=dict[Path, ModelsElsewhere])
    """The roots that lie in an object store, by the local folders for them."""

    @property
    def sources(self) -> Sources:
        """The sources of model files that are on a hub or need converting.

        Raises:
            NoSourcesError: none are installed.
        """
        if self.open_sources is None:
            raise NoSourcesError
        return self.open_sources()

    def names(self, folder: str) -> list[str]:
        """Return every file of a model folder, as workflows name it (`sub/name.safetensors`)."""
        places = self.folders.of_model(folder)
        names = {name for place in places for name in model_files(place, folder)}
        for place in places if self.elsewhere else ():
            if root := self._elsewhere(place):
                names.update(models_among(root.files_in(place), folder))
        return sorted(names)

    def find_stem(self, folder: str, stem: str) -> str:
        """Find a model file by its name without a suffix; of several, a safetensors file.

        Raises:
            UnknownFileError: there is none.
        """
        names = self.names(folder)
        found = [name for name in names if PurePosixPath(name).stem == stem]
        if not found:
            raise UnknownFileError(stem, f"models/{folder}", names)
        return min(found, key=lambda name: name.endswith(PICKLES))

    def loadable(self, folder: str, name: str) -> Path:
        """Return the path of a model file, or of a folder of them, as loaders read it.

        Raises:
            UnknownFileError: no such file.
            UnsafePathError: the name leads elsewhere.
            BadReferenceError: it is a malformed reference.
            WrongHashError: the file has another hash than its name says.
            NotHereError: it must be downloaded or converted first, and there is no watch.
            NodeGraphError: the download or the conversion failed.
        """
        path = self.source(folder, name)
        if not path.name.lower().endswith(PICKLES) or self.open_sources is None:
            return path
        loadable = self.sources.loadable(path, self.watch)
        if loadable is None:
            raise NotHereError(name, "converted")
        return loadable

    def source(self, folder: str, name: str) -> Path:
        """Return the path of a model file as `loadable` does, but before any conversion."""
        wanted = read_name(name)
        path = self._on_hub(folder, wanted) if wanted.hub else self._local(folder, wanted.plain)
        if wanted.sha256:
            found = self.identities.sha256(path)
            if found != wanted.sha256:
                raise WrongHashError(name.partition("#")[0], wanted.sha256, found, "its name")
        return path

    def content(self, folder: str, name: str) -> str:
        """Return a text that identifies a model file's content: its hash, or its commit on a hub.

        For a reference that was never used before, it asks the hub, but downloads nothing.
        """
        wanted = read_name(name)
        if wanted.hub is None:
            if not wanted.sha256 and (there := self._find_elsewhere(folder, wanted.plain)):
                return there[0].version(there[1])
            return self.identities.sha256(self.source(folder, name))
        return str(self.sources.pin(in_folder(folder, wanted.hub)))

    def origin(self, folder: str, name: str) -> Origin | None:
        """Return where on a hub a local model file comes from; None if it comes from elsewhere."""
        wanted = read_name(name)
        return self.sources.find_local(in_folder(folder, wanted.hub)) if wanted.hub else None

    def pairs(self, folder: str, names: Iterable[str]) -> list[str]:
        """Return those of the names whose two files exist; see `markers.Pairs`."""
        wanted = list(names)
        there = self.names(folder) if wanted else []
        stems = {PurePosixPath(name).stem for name in there}
        return [name for name in wanted if {f"{name}_{part}" for part in PAIR} <= stems]

    def pair(self, folder: str, name: str) -> tuple[Path, Path]:
        """Return the encoder's and the decoder's file of a pair, as loaders read them.

        Raises:
            UnknownFileError: one of them does not exist.
            NodeGraphError: the conversion of one failed.
        """
        encoder, decoder = (self.loadable(folder, file) for file in self._pair(folder, name))
        return encoder, decoder

    def pair_content(self, folder: str, name: str) -> str:
        """Return a text that identifies the content of a pair's two files."""
        return "+".join(self.content(folder, file) for file in self._pair(folder, name))

    def _pair(self, folder: str, name: str) -> Iterator[str]:
        return (self.find_stem(folder, f"{name}_{part}") for part in PAIR)

    def _local(self, folder: str, name: str) -> Path:
        wanted = relative(name)
        for place in self.folders.of_model(folder):
            root = self._elsewhere(place)
            if root and root.has(place / wanted):
                return root.fetch(place / wanted, self.watch)
            path = find_model(place, folder, wanted)
            if path:
                return path
        raise UnknownFileError(name, f"models/{folder}", self.names(folder))

    def _elsewhere(self, place: Path) -> ModelsElsewhere | None:
        """Return the root in an object store that a model directory belongs to."""
        found = (root for local, root in self.elsewhere.items() if place.is_relative_to(local))
        return next(found, None)

    def _find_elsewhere(self, folder: str, name: str) -> tuple[ModelsElsewhere, Path] | None:
        """Return the root that has a model file, and its local path; None if a disk has it."""
        wanted = relative(name)
        for place in self.folders.of_model(folder) if self.elsewhere else ():
            root = self._elsewhere(place)
            if root and root.has(place / wanted):
                return root, place / wanted
            if find_model(place, folder, wanted):
                return None
        return None

    def _on_hub(self, folder: str, wanted: ModelName) -> Path:
        reference = in_folder(folder, cast("HubReference", wanted.hub))
        if self.watch:
            return self.sources.fetch(reference, self.watch).path
        origin = self.sources.find_local(reference)
        if origin is None:
            raise NotHereError(str(reference))
        return origin.path
