"""A SentencePiece model of bytes and a few pieces, as Gemma's file is; see `language_models`."""

import struct
from typing import Any, cast

import torch
from tokenizers import AddedToken
from torch import Tensor
from transformers.models.gemma.tokenization_gemma import GemmaTokenizer

_BLANK = "\N{LOWER ONE EIGHTH BLOCK}"
_NORMAL, _UNKNOWN, _CONTROL, _WHOLE, _BYTE = 1, 2, 3, 4, 6
_ENDS = (("<pad>", _CONTROL), ("<eos>", _CONTROL), ("<bos>", _CONTROL), ("<unk>", _UNKNOWN))
_WHOLE_PIECES = ("<mask>", "\n", "\n\n", 2 * _BLANK)
_LETTERS = f"{_BLANK}abcdefghijklmnopqrstuvwxyz"
JOINED = (
    *("in", f"{_BLANK}a", "ca", "cat", f"{_BLANK}s", "ow", "at", "now", f"{_BLANK}snow"),
    *("sn", "fo", "fox", f"{_BLANK}in"),
)
"""The pieces that are joined of others, the best first."""


def pieces() -> list[tuple[str, float, int]]:
    """Each piece, its score and its type, by its number."""
    return [
        *((name, 0.0, kind) for name, kind in _ENDS),
        *((piece, 0.0, _WHOLE) for piece in _WHOLE_PIECES),
        *((f"<0x{byte:02X}>", 0.0, _BYTE) for byte in range(256)),
        *((piece, -float(place), _NORMAL) for place, piece in enumerate((*JOINED, *_LETTERS))),
    ]


def sentencepiece_model(kind: int = 2) -> bytes:
    """The model's file; kind 2 joins pairs."""
    fields = b"".join(_message(1, _piece(*each)) for each in pieces())
    return fields + _message(2, b"\x18" + bytes([kind]))


def as_tensor(data: bytes) -> Tensor:
    """A file as ComfyUI's single files have it: a tensor of its bytes."""
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _piece(piece: str, score: float, kind: int) -> bytes:
    return _message(1, piece.encode()) + struct.pack("<BfBB", 0x15, score, 0x18, kind)


def _message(field: int, data: bytes) -> bytes:
    assert len(data) < 128
    return bytes([field << 3 | 2, len(data)]) + data


def gemma_tokenizer_of_transformers() -> GemmaTokenizer:
    """Transformers' tokenizer of the same pieces: pairs are in the order of what they make."""
    numbers = {piece: number for number, (piece, _, _) in enumerate(pieces())}
    known = {*JOINED, *_LETTERS, "\n"}
    pairs = [
        (piece[:at], piece[at:])
        for piece in (*_WHOLE_PIECES, *JOINED)
        for at in range(1, len(piece))
        if {piece[:at], piece[at:]} <= known
    ]
    made = GemmaTokenizer(numbers, cast("Any", pairs), add_bos_token=True)
    whole = [AddedToken(each, normalized=False) for each in _WHOLE_PIECES]
    made.add_tokens(cast("Any", whole))
    return made
