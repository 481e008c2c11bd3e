"""A GGUF file's header, read without torch and checked.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (MIT). Networks for pictures
keep the names of their original code; T5's and language models' have llama.cpp's, which are turned
into transformers'.
"""

import math
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from nodes.models.weights.errors import TruncatedFileError, WeightFileError

MAGIC = b"GGUF"
_LONGEST = 2**24
"""The longest name or text, in bytes, and the longest list, in items, that is read."""
_KINDS = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K",
    11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 20: "IQ4_NL", 23: "IQ4_XS", 24: "I8",
    25: "I16", 26: "I32", 28: "F64", 30: "BF16",
}  # fmt: skip
BLOCKS: Mapping[str, tuple[int, int]] = {
    "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24), "Q8_0": (32, 34),
    "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176),
    "Q6_K": (256, 210), "IQ4_NL": (32, 18), "IQ4_XS": (256, 136),
}  # fmt: skip
"""The numbers and the bytes of a block of each quantized type."""
_PLAIN = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I8": 1, "I16": 2, "I32": 4}
_VALUES = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_TEXT, _LIST = 8, 9
_SHAPE = "comfy.gguf.orig_shape."
"""The start of a metadata key that has the true shape of a tensor with lengthened rows.

Rows are lengthened to whole blocks.
"""
_T5_PARTS = {
    "attn_q": "layer.0.SelfAttention.q",
    "attn_k": "layer.0.SelfAttention.k",
    "attn_v": "layer.0.SelfAttention.v",
    "attn_o": "layer.0.SelfAttention.o",
    "attn_rel_b": "layer.0.SelfAttention.relative_attention_bias",
    "attn_norm": "layer.0.layer_norm",
    "ffn_gate": "layer.1.DenseReluDense.wi_0",
    "ffn_up": "layer.1.DenseReluDense.wi_1",
    "ffn_down": "layer.1.DenseReluDense.wo",
    "ffn_norm": "layer.1.layer_norm",
}
_T5_ENDS = {"token_embd": "shared", "enc.output_norm": "encoder.final_layer_norm"}
_LANGUAGE_PARTS = {
    **{f"attn_{part}": f"self_attn.{part}_proj" for part in "qkv"},
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_norm": "input_layernorm",
    **{f"ffn_{part}": f"mlp.{part}_proj" for part in ("gate", "up", "down")},
    "ffn_norm": "post_attention_layernorm",
}
_LANGUAGE_ENDS = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}


class Entry(NamedTuple):
    """The name, type, shape and place of one tensor, as the header has them."""

    name: str
    """Its name in the file."""
    kind: str
    shape: tuple[int, ...]
    """The shape in torch's order of dimensions."""
    start: int
    nbytes: int


def read_gguf(path: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return the tensors, by the names of the networks here, and the metadata that is text.

    Raises:
        WeightFileError: it is not a GGUF file of version 2 or 3, or is malformed.
        TruncatedFileError: it breaks off.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        reader = _Reader(path, file, size)
        reader.check(file.read(4) == MAGIC, "it does not start with its name")
        reader.check(reader.number("I") in (2, 3), "its version is not 2 or 3")
        tensors, values = reader.number("Q"), reader.number("Q")
        metadata = dict(reader.pairs(values))
        raw = [reader.tensor() for _ in range(tensors)]
        alignment = metadata.get("general.alignment", 32)
        reader.check(isinstance(alignment, int) and alignment > 0, "its alignment is no number")
        origin = math.ceil(file.tell() / int(str(alignment))) * int(str(alignment))
    entries = [_entry(path, item, origin, metadata) for item in raw]
    end = max((entry.start + entry.nbytes for entry in entries), default=origin)
    if size < end:
        raise TruncatedFileError(path, end, size)
    texts = {key: value for key, value in metadata.items() if isinstance(value, str)}
    rename = _language_key if any(n[0].startswith("blk.") for n in raw) else _network_key
    return {rename(entry.name): entry for entry in entries}, texts


class _Reader:
    """Reads the parts of a header one after another."""

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self._path = path
        self._file = file
        self._size = size

    def check(self, holds: bool, what: str) -> None:
        if not holds:
            raise WeightFileError(self._path, what, code="unreadable_gguf")

    def number(self, code: str) -> int:
        return int(self._value(code))

    def text(self) -> str:
        return self._bytes(self._length()).decode(errors="replace")

    def pairs(self, number: int) -> Iterator[tuple[str, object]]:
        for _ in range(number):
            yield self.text(), self._read_value(self.number("I"))

    def tensor(self) -> tuple[str, tuple[int, ...], str, int]:
        """Read a tensor's name, shape, type and offset."""
        name, dims = self.text(), self.number("I")
        self.check(dims <= 8, f"{name!r} has {dims} dimensions")
        shape = tuple(self.number("Q") for _ in range(dims))[::-1]
        kind = self.number("I")
        self.check(kind in _KINDS, f"{name!r} is of type {kind}, which is not read here")
        return name, shape, _KINDS[kind], self.number("Q")

    def _read_value(self, type_: int) -> object:
        if type_ == _TEXT:
            return self.text()
        if type_ == _LIST:
            inner, length = self.number("I"), self._length()
            self.check(inner != _LIST, "it has lists in lists")
            return [self._read_value(inner) for _ in range(length)]
        self.check(type_ in _VALUES, f"it has a value of type {type_}")
        return self._value(_VALUES[type_])

    def _value(self, code: str) -> float:
        (value,) = struct.unpack(f"<{code}", self._bytes(struct.calcsize(f"<{code}")))
        return value

    def _length(self) -> int:
        length = self.number("Q")
        self.check(length <= _LONGEST, "its header is too long")
        return length

    def _bytes(self, length: int) -> bytes:
        found = self._file.read(length)
        if len(found) < length:
            raise TruncatedFileError(self._path, self._file.tell() + length, self._size)
        return found


def _entry(
    path: Path,
    raw: tuple[str, tuple[int, ...], str, int],
    origin: int,
    metadata: Mapping[str, object],
) -> Entry:
    name, shape, kind, offset = raw
    numbers = math.prod(shape)
    size, wide = BLOCKS.get(kind) or (1, _PLAIN[kind])
    if shape and shape[-1] % size:
        raise WeightFileError(
            path, f"the rows of {name!r} are no whole blocks", code="unreadable_gguf"
        )
    own = metadata.get(_SHAPE + name)
    if isinstance(own, list):
        shape = tuple(int(str(side)) for side in cast("list[object]", own))
        if math.prod(shape) != numbers:
            raise WeightFileError(
                path, f"{name!r} has another size than its shape", code="unreadable_gguf"
            )
    return Entry(name, kind, shape, origin + offset, numbers // size * wide)


def _network_key(name: str) -> str:
    """Return the name that the networks here have for a tensor of the file."""
    layer, dot, leaf = name.rpartition(".")
    match = re.fullmatch(r"enc\.blk\.(\d+)\.(\w+)", layer)
    if match and match[2] in _T5_PARTS:
        return f"encoder.block.{match[1]}.{_T5_PARTS[match[2]]}.{leaf}"
    return f"{_T5_ENDS.get(layer, layer)}{dot}{leaf}"


def _language_key(name: str) -> str:
    """Return the name that a tensor of a language model has in transformers."""
    layer, dot, leaf = name.rpartition(".")
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)", layer)
    if match and match[2] in _LANGUAGE_PARTS:
        return f"model.layers.{match[1]}.{_LANGUAGE_PARTS[match[2]]}.{leaf}"
    return f"{_LANGUAGE_ENDS.get(layer, layer)}{dot}{leaf}"
