"""The text encoders that work together for one family."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from pkgutil import resolve_name
from typing import TypeAlias

import torch
from torch import Tensor

from nodegraph.runtime.device_lane import device_lane
from nodegraph.runtime.residency import ModelUse
from nodegraph.runtime.run_environment import plan_use, run_environment
from nodes.models.families.base.errors import UnreadableTokenizerError
from nodes.models.families.base.language_config import linear_bytes
from nodes.models.families.base.language_models import language_model_of, missing_tokenizer
from nodes.models.families.base.spec import EncoderSpec, NetworkSpec, TextEncoderSet, TextRules
from nodes.models.loading.errors import (
    BlindEncoderError,
    ChatlessEncoderError,
    MissingPartError,
    UnreadTextError,
)
from nodes.models.loading.network import Network, Patches
from nodes.models.networks.base.builder import TextClass
from nodes.models.networks.base.pictures import PictureClass, PixelPatches
from nodes.models.networks.factory import network_class
from nodes.models.text.chunks import MakeTokenizer, PromptReader, Token, Tokenizer, empty_chunk
from nodes.models.text.combine import combination
from nodes.models.text.encode import Chunks, Encoded, encode, token_extras
from nodes.models.text.pictures import Seen, pictures_of
from nodes.models.text.textual_inversion import Embeddings

_STATES = 32
"""The memory that an encoder computes in, in states of all tokens; generous for all of them."""

Texts: TypeAlias = Mapping[str, str | None]
"""The text for each encoder; "" is the text of all others, None leaves an encoder out."""


@dataclass(frozen=True)
class TextEncoder:
    """One text encoder and its tokenizer; equal to another by its content."""

    network: Network
    rules: TextRules
    vision: Network | None = None
    """The vision encoder beside it; loaded when a prompt has a picture."""
    head: Network | None = None
    """The head that predicts words; loaded when it writes. None if its embedding does that, too."""

    @property
    def name(self) -> str:
        """Its name, such as `clip_l`."""
        return self.network.spec.name

    def weight_bytes(self, patches: Patches = ()) -> int:
        """Return the bytes that its weights take in memory, those of its vision encoder too."""
        vision = 0 if self.vision is None else self.vision.nbytes()
        return self.network.nbytes(patches) + vision

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of its vocabulary.

        Raises:
            MissingTokenizerError: the file should bring it along, and does not.
            UnreadableTokenizerError: it is damaged.
        """
        path = self.network.header.path
        if self.rules.lacks_vocabulary:
            raise missing_tokenizer(path, self.name)
        try:
            return _tokenizer(self.rules)
        except ValueError as error:
            raise UnreadableTokenizerError(path, self.name, str(error)) from error

    @property
    def _class(self) -> TextClass:
        text = network_class(self.network.spec.kind).text
        assert text, "TextSpecs name networks that read text"
        return text

    @property
    def width(self) -> int:
        """The width of a token's embedding."""
        return self.network.spec.config[self._class.width]

    def chunks(
        self, text: str | None, embeddings: Embeddings, pictures: Sequence[Tensor] = ()
    ) -> Chunks:
        """Return the chunks of a prompt; of None none, though T5 always reads its end token.

        Raises:
            BlindEncoderError: there are pictures, which it can not see.
            SizeLimitError: one of them is too narrow.
            UnplacedPictureError: the prompt has fewer places for pictures.
        """
        if text is None:
            end = self.rules.end if self.rules.takes_padding else None
            return [] if end is None else [[Token(end)]]
        patches = [self._patches(picture) for picture in pictures]
        reader = PromptReader(self.tokenizer, self.rules, self.width, embeddings)
        return reader.chunks(text, patches)

    def _patches(self, picture: Tensor) -> PixelPatches:
        if self.vision is None:
            raise BlindEncoderError(self.network.header.path, self.name)
        return _pictures(self.vision).prepare(picture, self.vision.spec.config)

    def encode(
        self, prompts: Sequence[Chunks], patches: Patches, layer: int | None
    ) -> Sequence[Encoded]:
        """Encode prompts, weights and all; `layer` None is the family's own choice.

        Prompts of other runs that wait for the encoder share the pass if the setting `merge` is on.
        """
        merger = run_environment().merger
        layers = self.rules.layers if layer is None else (layer,)
        if merger is None:
            return self._encode(prompts, patches, layers)

        def compute(calls: Sequence[Sequence[Chunks]]) -> Sequence[Sequence[Encoded]]:
            every = [prompt for each in calls for prompt in each]
            encoded = iter(self._encode(every, patches, layers))
            return [[next(encoded) for _ in each] for each in calls]

        return merger.call((self, patches, layers), prompts, compute)

    def _encode(
        self, prompts: Sequence[Chunks], patches: Patches, layers: Sequence[int]
    ) -> Sequence[Encoded]:
        tokens = sum(len(chunk) for chunks in prompts for chunk in chunks)
        beside = tokens * self.width * _STATES * self.network.placement.dtype.itemsize
        beside += linear_bytes(self.network.spec.config, tokens)
        with device_lane(self.network.placement.device):
            seen = self.see([chunk for chunks in prompts for chunk in chunks])
            plan_use(ModelUse.of((self.network,), beside, repeats=False))
            network = self._class.drive(self.network.module(patches))
            return encode(network, prompts, self.rules, layers, seen)

    @torch.no_grad()
    def see(self, rows: Chunks) -> Seen:
        """Return the pictures in rows as the language model reads them."""
        pictures, vision = pictures_of(rows), self.vision
        if not pictures or vision is None:
            return {}
        place, width = vision.placement, vision.spec.config["intermediate_size"]
        most = max(len(picture.pixels) for picture in pictures)
        beside = most * width * _STATES * place.dtype.itemsize
        plan_use(ModelUse.of((vision,), beside, repeats=False))
        module, see = vision.module(), _pictures(vision).see
        there = (
            replace(each, pixels=each.pixels.to(place.device, place.dtype)) for each in pictures
        )
        return {own: see(module, each) for own, each in zip(pictures, there, strict=True)}


def open_encoder(spec: EncoderSpec, network: Callable[[NetworkSpec], Network]) -> TextEncoder:
    """Return a text encoder, with its networks from a function that opens them."""
    vision, head = (network(each) if each else None for each in (spec.vision, spec.head))
    return TextEncoder(network(spec.network), spec.rules, vision, head)


def _pictures(vision: Network) -> PictureClass:
    """Return the way to run a vision encoder of a language model."""
    found = network_class(vision.spec.kind).pictures
    assert found, "EncoderSpecs name vision encoders of language models"
    return found


@dataclass(frozen=True)
class TextModel:
    """The text encoders behind a CLIP link; equal to others by their weights."""

    origin: Path = field(compare=False)
    """The file that it comes from."""
    found: tuple[TextEncoder, ...]
    """The text encoders; empty if the file has none, which is an error only when they are used."""
    encoder_set: TextEncoderSet | None = None
    """The family's set of encoders; None if the file has no text encoders."""

    @property
    def encoders(self) -> tuple[TextEncoder, ...]:
        """The text encoders: at least one, and all that the family needs.

        Raises:
            MissingPartError: the file has none, or not all.
        """
        if not self.found or self.encoder_set is None:
            raise MissingPartError(self.origin, "text encoder")
        names = {encoder.name for encoder in self.found}
        for name in self.encoder_set.policies:
            if name not in names and not self.encoder_set.any_suffices:
                raise MissingPartError(self.origin, f"text encoder {name}")
        return self.found

    @property
    def read_tokens(self) -> Mapping[str, TextRules]:
        """The rules of text encoders whose tokens alone the model reads, by their names."""
        return self.encoder_set.read_tokens if self.encoder_set else {}

    def with_t5_padding(self, min_length: int, min_padding: int) -> "TextModel":
        """Return the same encoders with other padding of T5's prompts; see `TextRules`."""
        padded = (
            replace(each, rules=replace(each.rules, min_length=min_length, min_padding=min_padding))
            if each.rules.takes_padding
            else each
            for each in self.encoders
        )
        return replace(self, found=tuple(padded))

    def with_chat(self, template: str, dropped: int) -> "TextModel":
        """Return the same language models with another text around prompts; see `TextRules`.

        Raises:
            ChatlessEncoderError: there is an encoder that is no language model.
        """
        for each in self.encoders:
            if language_model_of(each.name) is None:
                raise ChatlessEncoderError(self.origin, each.name)
        changed = (
            replace(each, rules=replace(each.rules, template=template, dropped=dropped))
            for each in self.found
        )
        return replace(self, found=tuple(changed))

    def encode_chunks(
        self,
        prompts: Sequence[Mapping[str, Chunks]],
        patches: Mapping[str, Patches],
        layer: int | None,
    ) -> list[Encoded]:
        """Encode prompts, each encoder all at once, and make one conditioning of each prompt.

        Args:
            prompts: the chunks for each encoder, as `chunks` makes them.
            patches: by encoder.
            layer: the layer to read; None is the family's own choice.

        Raises:
            MissingPartError: an encoder is not there.
        """
        found: list[dict[str, Encoded]] = [{} for _ in prompts]
        encoders = self.encoders
        assert self.encoder_set is not None, "the encoders of a file belong to a set"
        combine = combination(self.encoder_set.combine)
        for encoder in encoders:
            mine = [(n, each[encoder.name]) for n, each in enumerate(prompts) if each[encoder.name]]
            if not mine:
                continue
            batch = [chunks for _, chunks in mine]
            encoded = encoder.encode(batch, patches.get(encoder.name, ()), layer)
            for (n, _), one in zip(mine, encoded, strict=True):
                found[n][encoder.name] = one
        combined = [combine(parts) for parts in found]
        if not self.read_tokens:
            return combined
        extras = [_extras({name: each[name] for name in self.read_tokens}) for each in prompts]
        return [replace(one, extras=each) for one, each in zip(combined, extras, strict=True)]

    def chunks(
        self, texts: Texts, embeddings: Embeddings, pictures: Sequence[Tensor] = ()
    ) -> dict[str, Chunks]:
        """Return one prompt's chunks by encoder; all CLIPs get the same number.

        Those of text encoders whose tokens alone the model reads come last.

        Args:
            texts: the text for each encoder.
            embeddings: where textual inversions are.
            pictures: in the order of their places in the text: [height, width, 3 or 4] in [0, 1].

        Raises:
            UnreadTextError: a text is for an encoder that the family does not have.
            MissingPartError: an encoder is not there.
            BlindEncoderError: there are pictures, and an encoder can not see.
            SizeLimitError: a picture is too narrow.
            UnplacedPictureError: the text has fewer places for pictures.
        """
        known = (*self.encoder_set.policies, *self.read_tokens) if self.encoder_set else ()
        unread = texts.keys() - {*known, ""}
        if self.found and unread:
            raise UnreadTextError(sorted(unread), known)
        found: dict[str, Chunks] = {
            encoder.name: encoder.chunks(
                texts.get(encoder.name, texts.get("", "")),
                embeddings.for_encoder(encoder.name),
                pictures,
            )
            for encoder in self.encoders
        }
        clips = [encoder for encoder in self.encoders if encoder.rules.length]
        if set(texts) != {""} and clips:
            most = max(len(found[encoder.name]) for encoder in clips)
            for encoder in clips:
                found[encoder.name] = _pad(found[encoder.name], encoder.rules, most)
        for name, rules in self.read_tokens.items():
            text = texts.get(name, texts.get("", "")) or ""
            reader = PromptReader(_tokenizer(rules), rules, 0, embeddings.for_encoder(name))
            found[name] = reader.chunks(text)
        return found


def _tokenizer(rules: TextRules) -> Tokenizer:
    make: MakeTokenizer = resolve_name(rules.tokenizer)
    return make(rules.vocabulary, rules.merges)


def _extras(tokens: Mapping[str, Chunks]) -> dict[str, Tensor]:
    """Return the tokens that the model reads itself as `Encoded.extras`."""
    each = (token_extras(name, chunks) for name, chunks in tokens.items())
    return {key: value for one in each for key, value in one.items()}


def _pad(chunks: Chunks, rules: TextRules, number: int) -> Chunks:
    """Add the chunks of empty prompts at the end, up to a number."""
    assert rules.length is not None
    return [*chunks, *[empty_chunk(rules, rules.length)] * (number - len(chunks))]
