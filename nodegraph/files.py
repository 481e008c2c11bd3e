"""The models, input, output and temp folders: safe paths, identities, atomic writes."""

from pathlib import Path

from nodegraph.results import Artifact, FolderType


class Files:
    """Where a run reads and writes."""

    def model_names(self, folder: str) -> list[str]:
        """Every file of a model folder, as workflows name it (`sub/name.safetensors`)."""
        raise NotImplementedError

    def model(self, folder: str, name: str) -> Path:
        """The path of a model file."""
        raise NotImplementedError

    def input_names(self, suffixes: tuple[str, ...] = ()) -> list[str]:
        """Every file of the input folder that ends in one of `suffixes`."""
        raise NotImplementedError

    def input(self, name: str) -> Path:
        """The path of an input file; `name [output]` looks in the output folder."""
        raise NotImplementedError

    def identity(self, path: Path) -> str:
        """The file's sha256, remembered by path, size, mtime and inode."""
        raise NotImplementedError

    def save(self, root: FolderType, prefix: str, suffix: str, data: bytes) -> Artifact:
        """Write a new numbered file atomically: `prefix_00001_` + suffix."""
        raise NotImplementedError
