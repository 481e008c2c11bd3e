"""What can be wrong with the files of a model's layout, or with parts that are put together."""

from collections.abc import Sequence
from pathlib import Path

from nodegraph.errors import NodeGraphError


class MissingShardError(NodeGraphError):
    """A model is in several files, and not all of them are there."""

    code = "missing_shard"

    def __init__(self, path: Path, missing: Sequence[str]) -> None:
        super().__init__(
            f"{path.name!r} is one of several files, of which are missing: {', '.join(missing)}.",
            hint="Download them into the same folder.",
        )


class NoFolderWeightsError(NodeGraphError):
    """A part of a diffusers folder has no weights that are read."""

    code = "no_folder_weights"

    def __init__(self, folder: Path, part: str) -> None:
        super().__init__(
            f"the diffusers folder {folder.name!r} has no safetensors file in {part!r}.",
            hint="Download it as safetensors; .bin files are not read.",
        )


class MergeMismatchError(NodeGraphError):
    """Two models that are to be mixed have nothing in common."""

    code = "merge_mismatch"

    def __init__(self, first: Path, second: Path) -> None:
        super().__init__(
            f"{first.name!r} and {second.name!r} can not be mixed: they are of different families.",
            hint="Merge two models of one family.",
        )


class WrongPartError(NodeGraphError):
    """Parts of different families are to be saved in one file."""

    code = "wrong_part"

    def __init__(self, part: str, family: str) -> None:
        super().__init__(
            f"the text encoder {part} has no place in a checkpoint of the family {family}.",
            hint="Save it in a file of its own with CLIPSave.",
        )


class UnsavableVaeError(NodeGraphError):
    """A VAE that is to be saved is of a kind that has no file of its own."""

    code = "unsavable_vae"

    def __init__(self) -> None:
        super().__init__(
            "this VAE can not be saved: TAESDs are pairs of files, and pixel_space has no weights.",
            hint="Use a full VAE.",
        )


class BadConfigError(NodeGraphError):
    """A configuration file beside a checkpoint says something that has no meaning."""

    code = "bad_config"

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"the configuration {path.name!r} can not be used: {what}.",
            hint="Use CheckpointLoaderSimple, which needs none.",
        )
