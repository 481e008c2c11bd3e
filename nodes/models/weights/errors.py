"""Errors of weight files: format, completeness, pickles; and of packages that are not there."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from nodegraph.errors import NodeGraphError

WeightFileCode: TypeAlias = Literal["not_safetensors", "unreadable_gguf", "unreadable_layers"]

_FORMATS: Mapping[WeightFileCode, tuple[str, str]] = {
    "not_safetensors": (
        "safetensors file",
        "Use the .safetensors version of this model.",
    ),
    "unreadable_gguf": (
        "GGUF file that is read here",
        "Download it again, or use another quantisation of this model.",
    ),
    "unreadable_layers": (
        "file of quantized layers that is read here",
        "Use another quantisation of this model.",
    ),
}
"""Each code: the format that was expected, and what would work."""

UnavailableCode: TypeAlias = Literal[
    "missing_extra",
    "attention_unavailable",
    "unavailable_scheme",
    "cannot_compile",
    "face_adapter",
]


class WeightFileError(NodeGraphError):
    """A weight file is in another format, in none, or malformed."""

    def __init__(self, path: Path, reason: str, *, code: WeightFileCode, hint: str = "") -> None:
        expected, usual = _FORMATS[code]
        super().__init__(f"{path.name!r} is not a {expected}: {reason}.", hint=hint or usual)
        self.code = code


class UnavailableHereError(NodeGraphError):
    """A feature needs a package or a device that this machine does not have."""

    def __init__(self, *, code: UnavailableCode, what: str, reason: str, hint: str) -> None:
        super().__init__(f"{what} is not available here: {reason}.", hint=hint)
        self.code = code


class PickleRefusedError(NodeGraphError):
    """A weight file is a pickle, which can run code when it is loaded."""

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
    """A weight file ends before its header says it should: a download that broke off."""

    code = "truncated_file"

    def __init__(self, path: Path, expected: int, found: int) -> None:
        super().__init__(
            f"{path.name!r} is incomplete: {found:,} bytes of {expected:,}.",
            hint="Download it again.",
        )


class BadMetadataError(NodeGraphError):
    """The metadata of a checkpoint, or a JSON file beside it, can not be understood."""

    code = "bad_metadata"

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path.name!r}: the metadata's {what}.",
            hint="Download the file again, or use another copy of this model.",
        )


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
