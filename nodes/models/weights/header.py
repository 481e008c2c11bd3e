"""The header of a weights file: names, dtypes and shapes, read without torch and checked.

Safetensors: 8 bytes of little-endian length, that much JSON, then the tensors' bytes
(https://huggingface.co/docs/safetensors). GGUF's is in `nodes.models.weights.formats.gguf`.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from nodes.models.weights.errors import PickleRefusedError, TruncatedFileError, WeightFileError
from nodes.models.weights.formats.gguf import MAGIC, read_gguf
from nodes.models.weights.formats.layer_formats import MARKER, LayerFormat
from nodes.models.weights.formats.markers import parse_markers
from nodes.models.weights.tensor_info import BITS, TensorInfo, join_layers

_LENGTH = 8
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_LONGEST = 100_000_000  # what the safetensors library itself accepts
_WRONG_BYTES = "Download it again, or use another copy of this model."
_OTHERS = {
    b"{": "it is JSON, such as the index of a model in several files",
    b"<": "it is a web page, such as a hub shows to somebody who is not logged in",
    b"version ": "it is a Git LFS pointer; the file itself was not fetched",
}
"""Other files that are found in place of models, by their first bytes."""
_FORMATS = {"F64": "d", "F32": "f", "F16": "e", "BF16": "f"}


@dataclass(frozen=True, slots=True)
class Header:
    """The tensors and the metadata of a file."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    """The tensors, by their names in the original layout."""
    metadata: Mapping[str, str]
    own: Mapping[str, str] = field(default_factory=dict[str, str])
    """The prefix of the names, for networks that are stored under their own names.

    The keys are the prefixes of the original layout. `tensors` has the names of both layouts
    then, those of the original one for their shapes alone. See
    `nodes.models.families.diffusers_layout`.
    """

    @property
    def summary(self) -> str:
        """The number of tensors, and the names of some of them."""
        some = ", ".join(sorted(self.tensors)[:3])
        return f"{len(self.tensors)}, such as {some}" if some else "none"

    def __contains__(self, key: str) -> bool:
        return key in self.tensors

    def shape(self, key: str) -> tuple[int, ...]:
        """Return a tensor's shape.

        Raises:
            KeyError: there is no such tensor.
        """
        return self.tensors[key].shape


def read_header(path: Path) -> Header:
    """Read and check a file's header; the tensors stay on disk.

    Raises:
        PickleRefusedError: it is a pickle.
        WeightFileError: it is neither a safetensors file nor a GGUF file, or is malformed, or has
            layers in a format that is not known.
        TruncatedFileError: it breaks off.
    """
    return read_headers(path, [path])


def read_headers(path: Path, files: Sequence[Path]) -> Header:
    """Read and check the headers of files that are one model.

    Args:
        path: the model's.
        files: the files; where two have a tensor of one name, that of the last one counts.

    Raises:
        NodeGraphError: as for `read_header`.
    """
    tensors: dict[str, TensorInfo] = {}
    metadata: dict[str, str] = {}
    formats: dict[str, LayerFormat] = {}
    for file in files:
        header = stored_header(file)
        tensors |= header.tensors
        metadata |= header.metadata
        formats |= parse_markers(file, header.metadata, _marker_texts(header))
    return Header(path, join_layers(path, tensors, formats), metadata)


def _marker_texts(header: Header) -> dict[str, bytes]:
    """Return the bytes of the markers in a file, by the names of their layers."""
    ending = f".{MARKER}"
    found = {key: info for key, info in header.tensors.items() if key.endswith(ending)}
    if not found:
        return {}
    with header.path.open("rb") as file:
        texts: dict[str, bytes] = {}
        for key, info in found.items():
            file.seek(info.start)
            texts[key.removesuffix(ending)] = file.read(info.nbytes)
    return texts


def stored_header(path: Path) -> Header:
    """Return the header as the file has it, every tensor for itself."""
    size = path.stat().st_size
    if is_gguf(path):
        return _gguf_header(path)
    with path.open("rb") as file:
        start = file.read(_LENGTH)
        length = _header_length(path, start, size)
        text = file.read(length)
    entries = _parse(path, text)
    metadata = entries.pop("__metadata__", {})
    tensors: dict[str, TensorInfo] = {}
    ends: dict[str, int] = {}
    for key, entry in entries.items():
        tensors[key], ends[key] = _tensor(path, key, entry, _LENGTH + length)
    expected = _LENGTH + length + max(ends.values(), default=0)
    if size < expected:
        raise TruncatedFileError(path, expected, size)
    _check_places(path, tensors, ends, _LENGTH + length)
    if size > expected:
        reason = f"{size - expected:,} bytes too many follow its last tensor"
        raise WeightFileError(path, reason, code="not_safetensors", hint=_WRONG_BYTES)
    return Header(path, tensors, _texts(path, metadata))


def _check_places(
    path: Path, tensors: Mapping[str, TensorInfo], ends: Mapping[str, int], origin: int
) -> None:
    """Check that each tensor's bytes begin where those of the one before end, as the format wants.

    Raises:
        WeightFileError: they overlap or leave gaps.
    """
    last = origin
    for key in sorted(tensors, key=lambda key: (tensors[key].start, ends[key])):
        if tensors[key].start != last:
            reason = f"the bytes of {key!r} do not begin where those of the tensor before end"
            raise WeightFileError(path, reason, code="not_safetensors", hint=_WRONG_BYTES)
        last = origin + ends[key]


def _texts(path: Path, metadata: Mapping[str, object]) -> dict[str, str]:
    """Return the metadata, which are texts as the format wants."""
    for key, value in metadata.items():
        if not isinstance(value, str):
            reason = f"its metadata's {key!r} is no text"
            raise WeightFileError(path, reason, code="not_safetensors")
    return cast("dict[str, str]", metadata)


def read_numbers(header: Header, key: str) -> tuple[float, ...]:
    """Return the numbers of a small tensor, read without torch.

    Raises:
        KeyError: there is no such tensor.
        WeightFileError: its type is not one that weights have.
    """
    info = header.tensors[key]
    if info.dtype not in _FORMATS:
        raise WeightFileError(info.file, f"{key!r} is of type {info.dtype}", code="not_safetensors")
    data = read_bytes(header, key)
    if info.dtype == "BF16":  # the upper half of a float32
        data = b"".join(b"\0\0" + data[at : at + 2] for at in range(0, len(data), 2))
    return struct.unpack(f"<{info.numel}{_FORMATS[info.dtype]}", data)


def read_bytes(header: Header, key: str) -> bytes:
    """Return the bytes of a tensor, as the file has them, read without torch.

    Raises:
        KeyError: there is no such tensor.
    """
    info = header.tensors[key]
    with info.file.open("rb") as file:
        file.seek(info.start)
        return file.read(info.numel * BITS[info.dtype] // 8)


def is_pickle(path: Path) -> bool:
    """Return True for a pickle, or an archive of pickles as torch writes it."""
    with path.open("rb") as file:
        return file.read(_LENGTH).startswith(_PICKLES)


def is_gguf(path: Path) -> bool:
    """Return True for a file that begins as GGUF files do."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _gguf_header(path: Path) -> Header:
    entries, metadata = read_gguf(path)
    tensors = {
        key: TensorInfo(entry.kind, entry.shape, path, entry.name, entry.start)
        for key, entry in entries.items()
    }
    return Header(path, tensors, metadata)


def _header_length(path: Path, start: bytes, size: int) -> int:
    if start.startswith(_PICKLES):
        raise PickleRefusedError(path)
    if len(start) < _LENGTH:
        raise TruncatedFileError(path, _LENGTH, size)
    length = int.from_bytes(start, "little")
    if length > _LONGEST:
        found = (what for first, what in _OTHERS.items() if start.startswith(first))
        raise WeightFileError(
            path, next(found, "it does not start with a header"), code="not_safetensors"
        )
    if size < _LENGTH + length:
        raise TruncatedFileError(path, _LENGTH + length, size)
    return length


def _parse(path: Path, text: bytes) -> dict[str, dict[str, object]]:
    try:
        entries: object = json.loads(text.decode())  # UTF-8, and no other that Python would guess
    except (ValueError, RecursionError) as error:
        raise WeightFileError(path, "its header is not JSON", code="not_safetensors") from error
    if not isinstance(entries, dict):
        raise WeightFileError(path, "its header is not a JSON object", code="not_safetensors")
    pairs = cast("dict[str, object]", entries)
    if pairs.get("__metadata__", {}) is None:
        del pairs["__metadata__"]
    if not all(isinstance(entry, dict) for entry in pairs.values()):
        raise WeightFileError(
            path, "its header lists entries that are not tensors", code="not_safetensors"
        )
    return cast("dict[str, dict[str, object]]", entries)


def _tensor(
    path: Path, key: str, entry: Mapping[str, object], origin: int
) -> tuple[TensorInfo, int]:
    """Return one entry, and the offset where its bytes end, counted from `origin`."""
    dtype, shape, offsets = (entry.get(name) for name in ("dtype", "shape", "data_offsets"))
    pair = _is_naturals(offsets) and len(cast("list[int]", offsets)) == 2
    if not (isinstance(dtype, str) and _is_naturals(shape) and pair):
        raise WeightFileError(
            path, f"its header's entry {key!r} is malformed", code="not_safetensors"
        )
    start, end = cast("list[int]", offsets)
    info = TensorInfo(dtype, tuple(cast("list[int]", shape)), path, key, origin + start)
    if dtype not in BITS:
        raise WeightFileError(
            path, f"its tensor {key!r} is of the unknown type {dtype!r}", code="not_safetensors"
        )
    if (end - start) * 8 != info.numel * BITS[dtype]:
        raise WeightFileError(
            path, f"its header gives {key!r} a size that is not its shape's", code="not_safetensors"
        )
    return info, end


def _is_naturals(value: object) -> bool:
    """Return True for a list of whole numbers that are not negative."""
    if not isinstance(value, list):
        return False
    items = cast("list[object]", value)
    return all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in items)
