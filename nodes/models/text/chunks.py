"""Cut a prompt into chunks of the length that the text encoder reads.

A chunk starts and ends with the special tokens and is padded. A stretch of fewer than eight tokens
is never cut: it moves to the next chunk. The ends of chunks change the image, so the rules are
ComfyUI's. A text encoder that reads any length gets the whole prompt as one chunk.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from torch import Tensor

from nodes.models.families.base.spec import TextRules
from nodes.models.networks.base.errors import UnplacedPictureError
from nodes.models.networks.base.pictures import PixelPatches
from nodes.models.text.prompt_weights import Segment, parse
from nodes.models.text.quotations import quoted_pieces
from nodes.models.text.textual_inversion import Embeddings, split_embeddings

SHORT = 8


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """One token of a chunk."""

    id: int
    weight: float = 1.0
    word: int = 0
    """The number of the prompt's stretch it is from, from 1 on; 0 for start, end and padding."""
    vector: Tensor | None = None
    """[width] float32: used in place of the embedding of `id`."""
    is_padding: bool = False
    picture: PixelPatches | None = None
    """The picture that it is one of the tokens of."""


Chunk: TypeAlias = Sequence[Token]


class Tokenizer(Protocol):
    """Turns text into token ids."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without start, end or padding."""
        ...


class MakeTokenizer(Protocol):
    """A function that makes the tokenizer of a kind of text encoder."""

    def __call__(self, vocabulary: str, merges: str) -> Tokenizer:
        """Return a tokenizer.

        Args:
            vocabulary: the text of a `vocab.json`, or what the kind has instead; empty for the one
                that all of the kind have.
            merges: the text of a `merges.txt`; empty as above.

        Raises:
            ValueError: they are damaged.
        """
        ...


@dataclass(frozen=True, slots=True)
class PromptReader:
    """Turns prompts into chunks for one text encoder."""

    tokenizer: Tokenizer
    rules: TextRules
    width: int
    """The length of an embedding's vectors."""
    embeddings: Embeddings

    def chunks(self, prompt: str, pictures: Sequence[PixelPatches] = ()) -> list[list[Token]]:
        """Return the chunks of a prompt: at least one, all of one length.

        Args:
            prompt: its text.
            pictures: in the order of their places in it.

        Raises:
            UnplacedPictureError: there are fewer places than pictures.
        """
        stretches = self._stretches(prompt)
        if pictures:
            stretches = insert_pictures(stretches, self.rules.picture, pictures)
        chunks = _fill(stretches, self.rules)
        self._tell_length(sum(not token.is_padding for token in chunks[0]))
        return chunks

    def _tell_length(self, tokens: int) -> None:
        """Give a notice if a prompt has more tokens than the model was trained with."""
        usual = self.rules.usual_length
        if usual is not None and tokens > usual:
            self.embeddings.report(
                f"The prompt has {tokens} tokens, its template included. The model was trained"
                f" with up to {usual}; it reads all of them, but may follow the last ones less."
            )

    def _stretches(self, prompt: str) -> list[list[Token]]:
        stretches: list[list[Token]] = []
        for segment in self._segments(prompt):
            for found in self._segment_stretches(segment.text):
                word = len(stretches) + 1
                stretches.append([Token(n, segment.weight, word, vector) for n, vector in found])
        return stretches

    def _segments(self, prompt: str) -> list[Segment]:
        """Return the segments of a prompt in its template."""
        before, _, after = self.rules.template.partition("{}")
        text = f"{before}{prompt}{after}"
        segments = parse(text) if self.rules.reads_weights else [Segment(text, 1.0)]
        if not self.rules.applies_weights:
            segments = [replace(each, weight=1.0) for each in segments]
        if self.rules.keeps_lines:
            return segments
        return [replace(each, text=each.text.replace("\n", " ")) for each in segments]

    def _segment_stretches(self, text: str) -> Iterator[list[tuple[int, Tensor | None]]]:
        """Yield the stretches of one segment: each an embedding or the text between two."""
        before, embeddings = split_embeddings(text)
        if before.strip():
            yield self._plain(before)
        for name, rest in embeddings:
            exact = self.embeddings.name_in(name)
            vectors = self.embeddings.find(exact, self.width)
            if vectors is not None:
                stand_in = self.rules.pad if self.rules.end is None else self.rules.end
                yield [(stand_in, vector) for vector in vectors]
            after = f"{name[len(exact) :]} {rest}"
            if after.strip():
                yield self._plain(after)

    def _plain(self, text: str) -> list[tuple[int, Tensor | None]]:
        pieces = quoted_pieces(text) if self.rules.spells_quotations else (text,)
        return [(token, None) for piece in pieces for token in self.tokenizer.encode(piece)]


def insert_pictures(
    stretches: Iterable[Iterable[Token]], place: int | None, pictures: Sequence[PixelPatches]
) -> list[list[Token]]:
    """Return stretches with the pictures' tokens in the places of those that stand for them.

    Args:
        stretches: of a prompt.
        place: the id of a token that stands for a picture; those after the last picture stay.
        pictures: in the order of their places.

    Raises:
        UnplacedPictureError: there are fewer places than pictures.
    """
    waiting, found = list(reversed(pictures)), list[list[Token]]()
    for stretch in stretches:
        tokens = list[Token]()
        for token in stretch:
            if token.id == place and waiting:
                picture = waiting.pop()
                tokens += [replace(token, picture=picture)] * picture.tokens
            else:
                tokens.append(token)
        found.append(tokens)
    if waiting:
        raise UnplacedPictureError(len(pictures), len(pictures) - len(waiting))
    return found


def empty_chunk(rules: TextRules, length: int) -> list[Token]:
    """Return the chunk of an empty prompt, padded to a length."""
    return _end_chunk(_start_tokens(rules), rules, length)


def _fill(stretches: Sequence[Sequence[Token]], rules: TextRules) -> list[list[Token]]:
    if rules.length is None:
        tokens = [*_start_tokens(rules), *(token for stretch in stretches for token in stretch)]
        ends = 0 if rules.end is None else 1
        length = max(rules.min_length, len(tokens) + ends + rules.min_padding, 1)
        return [_end_chunk(tokens, rules, -(-length // rules.multiple) * rules.multiple)]
    chunks: list[list[Token]] = []
    current = _start_tokens(rules)
    for stretch in stretches:
        rest = list(stretch)
        while rest:
            room = rules.length - 1 - len(current)
            if len(rest) <= room:
                current, rest = [*current, *rest], []
                continue
            if len(rest) >= SHORT:
                current, rest = [*current, *rest[:room]], rest[room:]
            chunks.append(_end_chunk(current, rules, rules.length))
            current = _start_tokens(rules)
    return [*chunks, _end_chunk(current, rules, rules.length)]


def _start_tokens(rules: TextRules) -> list[Token]:
    """Return the start token, if the encoder has one."""
    return [] if rules.start is None else [Token(rules.start)]


def _end_chunk(tokens: Sequence[Token], rules: TextRules, length: int) -> list[Token]:
    """Add the end token, if the encoder has one, and pad to a length."""
    whole = [*tokens] if rules.end is None else [*tokens, Token(rules.end)]
    padding = [Token(rules.pad, is_padding=True)] * (length - len(whole))
    return [*padding, *whole] if rules.pads_left else [*whole, *padding]
