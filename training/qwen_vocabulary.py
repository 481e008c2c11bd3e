"""Makes the vocabulary of Qwen's tokenizer that the package ships, from the published ranks.

The ranks are a file in tiktoken's format, `qwen.tiktoken`: a token in base64 and its number on each
line. Alibaba's package dashscope has it (https://pypi.org/project/dashscope/, Apache-2.0):

    pip download --no-deps dashscope==2.0.2
    unzip -j dashscope-2.0.2-py3-none-any.whl dashscope/resources/qwen.tiktoken
    python -m training.qwen_vocabulary qwen.tiktoken

A token beyond the 256 bytes is two earlier ones joined: those that byte pair encoding itself ends
with when it may use the earlier ones only. Their numbers are all that is kept; see
`nodes.models.text.qwen_tokenizer`.
"""

import base64
import gzip
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

from nodes.models.text.clip_tokenizer import byte_symbols

_BYTES = 256
TARGET = Path(__file__).parents[1] / "nodes/models/text/assets/qwen_merges.bin.gz"


def read_ranks(text: str) -> list[bytes]:
    """Return the tokens of a file in tiktoken's format, by their numbers.

    Raises:
        ValueError: the numbers have gaps, or the first tokens are not the bytes in GPT-2's order.
    """
    tokens: list[bytes] = []
    for line in text.splitlines():
        word, number = line.split()
        if int(number) != len(tokens):
            msg = f"number {len(tokens)} is missing: the next is {number}"
            raise ValueError(msg)
        tokens.append(base64.b64decode(word))
    if [token[0] for token in tokens[:_BYTES]] != list(byte_symbols()):
        msg = "the first tokens are not the bytes in GPT-2's order"
        raise ValueError(msg)
    return tokens


def merges(tokens: list[bytes]) -> Iterator[tuple[int, int]]:
    """Yield the numbers of the two tokens that each token beyond the bytes is joined from."""
    ranks = {token: rank for rank, token in enumerate(tokens)}
    for token in tokens[_BYTES:]:
        parts = [bytes([byte]) for byte in token]
        while len(parts) > 2:
            joined = [ranks.get(a + b, len(ranks)) for a, b in pairwise(parts)]
            at = joined.index(min(joined))
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        yield ranks[parts[0]], ranks[parts[1]]


def pack(pairs: Iterable[tuple[int, int]]) -> bytes:
    """Return pairs of numbers below 2**24 as gzip: the low bytes of all first, which packs well."""
    columns = zip(*pairs, strict=True)
    planes = [bytes(n >> shift & 255 for n in column) for column in columns for shift in (0, 8, 16)]
    return gzip.compress(b"".join(planes), compresslevel=9, mtime=0)


if __name__ == "__main__":
    TARGET.write_bytes(pack(merges(read_ranks(Path(sys.argv[1]).read_text("ascii")))))
