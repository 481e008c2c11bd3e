"""What can be wrong with a model file, or with how a workflow uses one."""

from collections.abc import Sequence
from pathlib import Path

from nodegraph.errors import NodeGraphError


class NotSafetensorsError(NodeGraphError):
    """A weights file is in another format, or in none."""

    code = "not_safetensors"

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path.name!r} is no safetensors file: {what}.",
            hint="Use the .safetensors version of this model.",
        )


class UnreadableGgufError(NodeGraphError):
    """A GGUF file is damaged, or has something that is not read here."""

    code = "unreadable_gguf"

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path.name!r} is no GGUF file that is read here: {what}.",
            hint="Download it again, or use another quantisation of this model.",
        )


class MissingExtraError(NodeGraphError):
    """Something needs a package that is not installed by default."""

    code = "missing_extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs a package that is not installed.",
            hint=f"Run: pip install 'nodegraph[{extra}]'",
        )


class PickleRefusedError(NodeGraphError):
    """A weights file is a pickle, which can run code when it is loaded."""

    code = "pickle_refused"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path.name!r} is a pickle (.ckpt, .pt, .bin), which can run code when it is loaded.",
            hint="Use the .safetensors version of this model. Or, with --allow-pickle (the setting"
            " allow_pickle), only its tensors are read, and nothing in it is run.",
        )


class UnsafePickleError(NodeGraphError):
    """A pickle asks for more than tensors when it is loaded."""

    code = "unsafe_pickle"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path.name!r} is refused, although pickles are allowed: {reason}.",
            hint="Use the .safetensors version of this model.",
        )


class TruncatedFileError(NodeGraphError):
    """A weights file ends before its header says it should: a download that broke off."""

    code = "truncated_file"

    def __init__(self, path: Path, expected: int, found: int) -> None:
        super().__init__(
            f"{path.name!r} is incomplete: {found:,} bytes of {expected:,}.",
            hint="Download it again.",
        )


class BadMetadataError(NodeGraphError):
    """A checkpoint's metadata says something that has no meaning."""

    code = "bad_metadata"

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path.name!r}: the metadata's {what}.")


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
