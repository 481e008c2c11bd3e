"""Gemma's tokenizer: neighbours are joined, the best pair first (arXiv:2408.00118, section 2.2).

The pieces are those of a SentencePiece model (Kudo and Richardson 2018, arXiv:1808.06226) of byte
pair encoding, or of the `tokenizer.json` that transformers makes of it. Neither is a part of this
package, as Gemma's terms go with them: the file or the folder of the text encoder brings it along.
"""

import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush
from typing import Any, NamedTuple, cast

_BLANK = "\N{LOWER ONE EIGHTH BLOCK}"
"""The sign for a blank in pieces."""
_BYTE = "<0x{:02X}>"
"""The piece for a byte of a character that no piece has."""
_NORMAL, _UNKNOWN, _WHOLE = 1, 2, 4
"""Types of pieces: joined of others; for what is not known; found in the text as one whole."""
_BYTE_PAIRS = 2
"""The type of a SentencePiece model that joins pairs."""
_PIECES, _TRAINING = 1, 2
_PIECE, _SCORE, _KIND = 1, 2, 3
_MODEL_TYPE = 3
"""The numbers of fields of a SentencePiece model, of a piece and of the training's settings."""
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
"""The types of fields in protocol buffers."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The pieces of a tokenizer."""

    numbers: Mapping[str, int]
    """The number of each piece."""
    scores: Mapping[str, float]
    """The score of each piece that others are joined to; the highest is joined first."""
    whole: tuple[str, ...]
    """The pieces that are found in a text before anything is joined."""
    unknown: int
    """The number of what no piece stands for."""


class GemmaTokenizer:
    """Turns text into token ids, without the start token."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        longest_first = sorted(vocabulary.whole, key=len, reverse=True)
        self._whole = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        normal = text.replace(" ", _BLANK)
        ids: list[int] = []
        start = 0
        for match in self._whole.finditer(normal):
            ids += self._join(normal[start : match.start()])
            ids.append(self._vocabulary.numbers[match[0]])
            start = match.end()
        return ids + self._join(normal[start:])

    def _join(self, text: str) -> list[int]:
        """Return the ids of a text without whole pieces."""
        pieces = join_pairs(text, self._vocabulary.scores)
        return [number for piece in pieces for number in self._numbers(piece)]

    def _numbers(self, piece: str) -> list[int]:
        """Return the number of a piece, or those of its bytes."""
        numbers = self._vocabulary.numbers
        if piece in numbers:
            return [numbers[piece]]
        names = [_BYTE.format(byte) for byte in piece.encode(errors="replace")]
        return [numbers.get(name, self._vocabulary.unknown) for name in names]


def join_pairs(text: str, scores: Mapping[str, float]) -> list[str]:
    """Return the pieces of a text: neighbours are joined until none makes a known piece.

    Of all pairs, that of the highest score is joined first; of equals, the leftmost.

    Args:
        text: any.
        scores: of the known pieces.
    """
    pieces, after, before = list(text), _neighbours(text, 1), _neighbours(text, -1)
    waiting: list[tuple[float, int, str]] = []

    def offer(left: int) -> None:
        if 0 <= left < len(pieces) and after[left] < len(pieces):
            joined = pieces[left] + pieces[after[left]]
            if joined in scores:
                heappush(waiting, (-scores[joined], left, joined))

    for place in range(len(pieces)):
        offer(place)
    while waiting:
        _, left, joined = heappop(waiting)
        right = after[left]
        if right >= len(pieces) or not pieces[left] or pieces[left] + pieces[right] != joined:
            continue  # one of the two has been joined to another
        pieces[left], pieces[right] = joined, ""
        after[left] = after[right]
        if after[left] < len(pieces):
            before[after[left]] = left
        offer(before[left])
        offer(left)
    return [piece for piece in pieces if piece]


def _neighbours(text: str, step: int) -> list[int]:
    return [place + step for place in range(len(text))]


@lru_cache(maxsize=2)
def gemma_tokenizer(vocabulary: str, merges: str = "") -> GemmaTokenizer:
    """Return the tokenizer of a `tokenizer.model` or a `tokenizer.json`.

    Args:
        vocabulary: the file's bytes, as Latin-1.
        merges: nothing, as the file has them.

    Raises:
        ValueError: it is neither, or of another kind of tokenizer.
    """
    del merges
    data = vocabulary.encode("latin-1")
    return GemmaTokenizer(_of_json(data) if data.startswith(b"{") else _of_sentencepiece(data))


def _of_json(data: bytes) -> Vocabulary:
    """Return the pieces of a `tokenizer.json`; a piece scores by its first pair in the list."""
    try:
        content = json.loads(data)
        model = content["model"]
        numbers = dict[str, int](model["vocab"])
        added = cast("list[dict[str, Any]]", content["added_tokens"])
        scores: dict[str, float] = {}
        for place, pair in enumerate(cast("list[str | list[str]]", model["merges"])):
            joined = "".join(pair.split(" ", 1) if isinstance(pair, str) else pair)
            scores.setdefault(joined, -place)
        whole = tuple(each["content"] for each in added if not each["special"])
        return Vocabulary(numbers, scores, whole, numbers[model["unk_token"]])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        reason = "it is no tokenizer.json of byte pairs"
        raise ValueError(reason) from error


def _of_sentencepiece(data: bytes) -> Vocabulary:
    """Return the pieces of a SentencePiece model."""
    pieces: list[_Entry] = []
    kind = 0
    try:
        for field, value in _fields(data):
            if field == _PIECES:
                pieces.append(_entry(cast("bytes", value)))
            elif field == _TRAINING:
                kind = dict(_fields(cast("bytes", value))).get(_MODEL_TYPE, 0)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError, struct.error) as error:
        reason = "it is no SentencePiece model"
        raise ValueError(reason) from error
    if kind != _BYTE_PAIRS:
        reason = "it is no SentencePiece model of byte pairs"
        raise ValueError(reason)
    return Vocabulary(
        {each.piece: number for number, each in enumerate(pieces)},
        {each.piece: each.score for each in pieces if each.kind == _NORMAL},
        tuple(each.piece for each in pieces if each.kind == _WHOLE),
        next((number for number, each in enumerate(pieces) if each.kind == _UNKNOWN), 0),
    )


class _Entry(NamedTuple):
    """A piece, its score and its type; others than those above are start, end, bytes, unused."""

    piece: str
    score: float
    kind: int


def _entry(data: bytes) -> _Entry:
    """Return a piece of a SentencePiece model."""
    fields = dict(_fields(data))
    (score,) = struct.unpack("<f", cast("bytes", fields.get(_SCORE, bytes(4))))
    piece, kind = cast("bytes", fields[_PIECE]), cast("int", fields.get(_KIND, _NORMAL))
    return _Entry(piece.decode(), score, kind)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the numbers and the values of a protocol buffer's fields.

    Raises:
        ValueError: it breaks off, or has fields of unknown types.
    """
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        field, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, place = _varint(data, place)
            yield field, value
            continue
        if kind == _BYTES:
            size, place = _varint(data, place)
        else:
            size = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}[kind]
        if place + size > len(data):
            reason = "it breaks off"
            raise ValueError(reason)
        yield field, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return the number at a place, of which each byte has 7 bits, and the place after it."""
    number = shift = 0
    while True:
        byte = data[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
        shift += 7
