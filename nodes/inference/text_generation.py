"""Texts that language models write: token by token, shown as they grow, with an end at any time."""

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodegraph.definition.context import Context
from nodegraph.runtime.device_lane import device_lane
from nodegraph.runtime.residency import ModelUse
from nodegraph.runtime.run_environment import plan_use
from nodes.models.families.base.language_config import keeping_layers, linear_bytes
from nodes.models.families.base.language_records import LanguageModel
from nodes.models.loading.network import Patches
from nodes.models.loading.text_model import TextEncoder
from nodes.models.networks.components.language_model import Cache, LanguageModelText
from nodes.models.text.chunks import Chunk, Token
from nodes.models.text.encode import embed, positions_of
from nodes.models.text.pictures import place_pictures
from nodes.models.text.word_choice import WordChoice

_STATES = 32
"""The memory that a pass computes in, in states of its tokens; generous."""
_BLOCK = 256
"""Tokens: the memory for keys and values is asked for in steps of so many."""
_SHOWN = 10_000
"""The last characters of a long text are shown."""
_PAUSE = 0.05
"""Seconds between two times that an unfinished text is shown, at least."""


class WordTokenizer(Protocol):
    """A tokenizer whose tokens can be written down again."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        ...

    def bytes_of(self, number: int) -> bytes:
        """Return the bytes that a token stands for in UTF-8."""
        ...


class _Layers(Protocol):
    layers: list[object]


@dataclass(frozen=True, slots=True)
class Writer:
    """A language model that writes texts."""

    encoder: TextEncoder
    record: LanguageModel
    """Of the encoder's language model."""
    patches: Patches = ()

    @property
    def tokenizer(self) -> WordTokenizer:
        """The tokenizer of its vocabulary."""
        return cast("WordTokenizer", self.encoder.tokenizer)

    def tokens(self, prompt: Chunk, choice: WordChoice, most: int) -> Generator[int]:
        """Yield the tokens of a text, up to one that ends it.

        The keys and values of all tokens are kept meanwhile, so that each pass is of one token;
        they are let go of with the generator.

        Args:
            prompt: the tokens before it.
            choice: chooses each one.
            most: the number of tokens that there are at most.
        """
        ends = {self.tokenizer.encode(name)[0] for name in self.record.ends}
        text = _Text(self, prompt)
        written: list[int] = []
        try:
            while len(written) < most:
                number = choice.choose(text.scores(), written)
                if number in ends:
                    return
                written.append(number)
                yield number
                text.add(number)
        finally:
            text.forget()


@dataclass(slots=True)
class _Text:
    """A text that grows: its next tokens to read, and what is kept of those that were read."""

    writer: Writer
    waiting: Chunk
    """The tokens that the language model has not read yet: the prompt, or the last one."""
    past: Cache | None = None
    length: int = 0
    """The number of tokens that it has read."""
    place: int = 0
    """The position of the next token."""

    def add(self, number: int) -> None:
        """Add a token."""
        self.waiting = [Token(number)]

    def forget(self) -> None:
        """Let go of what is kept of the tokens."""
        if self.past is not None:
            cast("_Layers", self.past).layers.clear()

    @torch.no_grad()
    def scores(self) -> Tensor:
        """Read what waits; return the scores of the tokens that may follow, [1, words] float32."""
        encoder, rows = self.writer.encoder, [self.waiting]
        network, head = encoder.network, encoder.head
        self.length += len(self.waiting)
        with device_lane(network.placement.device):
            seen = encoder.see(rows)
            models = (network,) if head is None else (network, head)
            plan_use(ModelUse.of(models, self._beside))
            driver = LanguageModelText(self.writer.record, network.module(self.writer.patches))
            if self.past is None:
                self.past = driver.new_cache()
            embedded = embed(driver, rows)
            pictures = place_pictures(rows, embedded, seen) if seen else None
            last = embedded
            for state in driver.states(embedded, None, self._positions(), pictures, self.past):
                last = state
            hidden = driver.norm(last[:, -1])
            return _words(driver, None if head is None else head.module(), hidden).float().cpu()

    def _positions(self) -> Tensor:
        """Return the positions of what waits, and count them."""
        found = positions_of([self.waiting], self.writer.encoder.rules)
        if found is None:
            found = torch.arange(len(self.waiting))[None] + self.place
        self.place = int(found.max()) + 1
        return found

    @property
    def _beside(self) -> int:
        """The bytes beside the weights: of what is kept of tokens, and what a pass computes."""
        network = self.writer.encoder.network
        config = network.spec.config
        heads, width = config["num_key_value_heads"], config["head_dim"]
        kept = -(self.length // -_BLOCK) * _BLOCK * heads * width * 2
        layers = keeping_layers(config) + 2  # those of one layer are there twice for a moment
        tokens = len(self.waiting)
        computed = tokens * config["hidden_size"] * _STATES + config["vocab_size"]
        numbers = kept * layers + computed
        return numbers * network.placement.dtype.itemsize + linear_bytes(config, tokens)


def _words(driver: LanguageModelText, head: nn.Module | None, hidden: Tensor) -> Tensor:
    """Return the scores of words, [rows, words], wherever the weights for them are."""
    if head is not None:
        return cast("Tensor", head(hidden))
    table = driver.token_embedding
    return functional.linear(hidden.to(table), table)


def write_text(writer: Writer, prompt: Chunk, choice: WordChoice, most: int, ctx: Context) -> str:
    """Return the text that a language model writes after a prompt; see `Writer.tokens`.

    It is shown while it grows, and ends with the run.
    """
    shown = _Shown(ctx)
    written = bytearray()
    ctx.check_cancelled()
    for number, token in enumerate(writer.tokens(prompt, choice, most), 1):
        written += writer.tokenizer.bytes_of(token)
        ctx.progress(number, most)
        shown.show(written)
        ctx.check_cancelled()
    text = written.decode("utf-8", "replace")
    shown.finish(text)
    return text


@dataclass(slots=True)
class _Shown:
    """Shows a growing text, not too often."""

    ctx: Context
    _spoke: float = float("-inf")

    def show(self, written: bytearray) -> None:
        """Show a text, whose last character may be incomplete, unless another was just shown."""
        now = time.monotonic()
        if now - self._spoke >= _PAUSE:
            self._spoke = now
            self.finish(written.decode("utf-8", "ignore"))

    def finish(self, text: str) -> None:
        """Show the end of a text, or all of it."""
        self.ctx.progress_text(text[-_SHOWN:])


def picture_rows(image: Tensor | None) -> Sequence[Tensor]:
    """Return the pictures of a batch, [height, width, channels] each; none of None."""
    return () if image is None else image.unbind()
