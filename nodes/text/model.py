"""The text encoders that work together for one family."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import cast

from nodes.errors import MissingPartError
from nodes.families.family import TextRules, TextStyle
from nodes.networks.clip import Clip
from nodes.text.embeddings import Embeddings
from nodes.text.encoder import Encoded, encode
from nodes.text.sections import PromptReader
from nodes.text.styles import STYLES
from nodes.text.tokenizer import ClipTokenizer
from nodes.weights.network import Network, Patches


@dataclass(frozen=True)
class TextEncoder:
    """One text encoder and its tokenizer; equal to another by its weights."""

    network: Network
    rules: TextRules = field(compare=False)

    @property
    def name(self) -> str:
        """Which one it is, such as `clip_l`."""
        return self.network.spec.name

    @cached_property
    def tokenizer(self) -> ClipTokenizer:
        """What turns text into its tokens."""
        if self.rules.vocabulary and self.rules.merges:
            return ClipTokenizer.from_texts(self.rules.vocabulary, self.rules.merges)
        return ClipTokenizer.clip()

    def encode(
        self, prompt: str, embeddings: Embeddings, patches: Patches, layer: int | None
    ) -> Encoded:
        """Encode a prompt, weights and all; `layer` None is the family's own choice."""
        clip = cast("Clip", self.network.module(patches))
        width = clip.embeddings.token_embedding.weight.shape[1]
        reader = PromptReader(self.tokenizer, self.rules, width, embeddings)
        layer = self.rules.layer if layer is None else layer
        return encode(clip, reader.sections(prompt), self.rules, layer)


@dataclass(frozen=True)
class TextModel:
    """What stands behind a CLIP link; equal to another by its weights."""

    origin: Path = field(compare=False)
    """The file that it comes from."""
    found: tuple[TextEncoder, ...]
    """None if the file has none, which is an error as soon as somebody wants one."""
    style: TextStyle = "single"

    @property
    def encoders(self) -> tuple[TextEncoder, ...]:
        """Its text encoders, at least one.

        Raises:
            MissingPartError: the file has none.
        """
        if not self.found:
            raise MissingPartError(self.origin, "text encoder")
        return self.found

    def encode(
        self,
        texts: Mapping[str, str],
        embeddings: Embeddings,
        patches: Mapping[str, Patches],
        layer: int | None,
    ) -> Encoded:
        """Encode what each text encoder is to read, and make one conditioning of it.

        Args:
            texts: by encoder; those that are not named read the text named ``.
            embeddings: where textual inversions are.
            patches: by encoder.
            layer: which layer to read; None is the family's own choice.
        """
        parts = {
            encoder.name: encoder.encode(
                texts.get(encoder.name, texts.get("", "")),
                embeddings.of(encoder.name),
                patches.get(encoder.name, ()),
                layer,
            )
            for encoder in self.encoders
        }
        return STYLES[self.style](parts)
