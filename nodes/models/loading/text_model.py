"""The text encoders that work together for one family."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from nodes.models.families.base.spec import TextRules, TextStyle
from nodes.models.loading.errors import MissingPartError, UnreadTextError
from nodes.models.loading.network import Network, Patches
from nodes.models.networks.base.builder import TextClass
from nodes.models.networks.factory import network_class
from nodes.models.text.chunks import PromptReader, Token, Tokenizer, empty_section
from nodes.models.text.clip_tokenizer import ClipTokenizer
from nodes.models.text.combine import combination
from nodes.models.text.encode import Encoded, Sections, encode
from nodes.models.text.t5_tokenizer import T5Tokenizer
from nodes.models.text.textual_inversion import Embeddings

Texts: TypeAlias = Mapping[str, str | None]
"""By text encoder; those that are not named read the text named ``, None is to be left out."""


@dataclass(frozen=True)
class TextEncoder:
    """One text encoder and its tokenizer; equal to another by its content."""

    network: Network
    rules: TextRules

    @property
    def name(self) -> str:
        """Which one it is, such as `clip_l`."""
        return self.network.spec.name

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """What turns text into its tokens."""
        if self.rules.tokenizer == "unigram":
            return T5Tokenizer.t5()
        if self.rules.vocabulary and self.rules.merges:
            return ClipTokenizer.from_texts(self.rules.vocabulary, self.rules.merges)
        return ClipTokenizer.clip()

    @property
    def _class(self) -> TextClass:
        text = network_class(self.network.spec.kind).text
        assert text, "TextSpecs name networks that read text"
        return text

    @property
    def width(self) -> int:
        """How many numbers a token becomes."""
        return self.network.spec.config[self._class.width]

    def sections(self, text: str | None, embeddings: Embeddings) -> Sections:
        """The sections of a prompt; none if it is left out, but T5 always reads its end token."""
        if text is None:
            return [] if self.rules.length else [[Token(self.rules.end)]]
        return PromptReader(self.tokenizer, self.rules, self.width, embeddings).sections(text)

    def encode(
        self, prompts: Sequence[Sections], patches: Patches, layer: int | None
    ) -> list[Encoded]:
        """Encode prompts, weights and all; `layer` None is the family's own choice."""
        network = self._class.drive(self.network.module(patches))
        layer = self.rules.layer if layer is None else layer
        return encode(network, prompts, self.rules, layer)


@dataclass(frozen=True)
class TextModel:
    """What stands behind a CLIP link; equal to another by its weights."""

    origin: Path = field(compare=False)
    """The file that it comes from."""
    found: tuple[TextEncoder, ...]
    """None if the file has none, which is an error as soon as somebody wants one."""
    style: TextStyle | None = None
    """None if there is none."""

    @property
    def encoders(self) -> tuple[TextEncoder, ...]:
        """Its text encoders, at least one, and all that the family can't do without.

        Raises:
            MissingPartError: the file has none, or not all.
        """
        if not self.found or self.style is None:
            raise MissingPartError(self.origin, "text encoder")
        names = {encoder.name for encoder in self.found}
        for name in self.style.readings:
            if name not in names and not self.style.any_suffices:
                raise MissingPartError(self.origin, f"text encoder {name}")
        return self.found

    def padding_t5(self, least: int, padding: int) -> "TextModel":
        """The same, but T5's prompts are padded otherwise; see `TextRules`."""
        padded = (
            replace(each, rules=replace(each.rules, least=least, padding=padding))
            if each.rules.length is None
            else each
            for each in self.encoders
        )
        return replace(self, found=tuple(padded))

    def encode(
        self,
        texts: Sequence[Texts],
        embeddings: Embeddings,
        patches: Mapping[str, Patches],
        layer: int | None,
    ) -> list[Encoded]:
        """Encode prompts, each encoder all at once, and make one conditioning of each.

        Args:
            texts: what each text encoder is to read, prompt by prompt.
            embeddings: where textual inversions are.
            patches: by encoder.
            layer: which layer to read; None is the family's own choice.

        Raises:
            UnreadTextError: a text is for an encoder that the family does not have.
            MissingPartError: an encoder is not there.
        """
        found: list[dict[str, Encoded]] = [{} for _ in texts]
        encoders = self.encoders
        assert self.style is not None, "what has encoders has a style"
        prompts = [self._sections(each, self.style, embeddings) for each in texts]
        combine = combination(self.style.combine)
        for encoder in encoders:
            mine = [(n, each[encoder.name]) for n, each in enumerate(prompts) if each[encoder.name]]
            if not mine:
                continue
            given = [sections for _, sections in mine]
            encoded = encoder.encode(given, patches.get(encoder.name, ()), layer)
            for (n, _), one in zip(mine, encoded, strict=True):
                found[n][encoder.name] = one
        return [combine(parts) for parts in found]

    def _sections(
        self, texts: Texts, style: TextStyle, embeddings: Embeddings
    ) -> dict[str, Sections]:
        """One prompt's sections by encoder; where texts differ, CLIPs get as many each."""
        unread = texts.keys() - style.readings.keys() - {""}
        if unread:
            raise UnreadTextError(sorted(unread), tuple(style.readings))
        found = {
            encoder.name: encoder.sections(
                texts.get(encoder.name, texts.get("", "")), embeddings.of(encoder.name)
            )
            for encoder in self.encoders
        }
        clips = [encoder for encoder in self.encoders if encoder.rules.length]
        if set(texts) != {""} and clips:
            most = max(len(found[encoder.name]) for encoder in clips)
            for encoder in clips:
                found[encoder.name] = _padded(found[encoder.name], encoder.rules, most)
        return found


def _padded(sections: Sections, rules: TextRules, number: int) -> Sections:
    """With empty prompts' sections at the end, up to a number."""
    assert rules.length is not None
    return [*sections, *[empty_section(rules, rules.length)] * (number - len(sections))]
