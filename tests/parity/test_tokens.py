"""Prompts become the reference's tokens, exactly."""

import re
from dataclasses import dataclass, replace

import pytest
import torch

from nodes.models.families.base.spec import TextRules
from nodes.models.text.chunks import PromptReader, Tokenizer
from nodes.models.text.clip_tokenizer import ClipTokenizer
from nodes.models.text.prompt_weights import parse
from nodes.models.text.t5_tokenizer import T5Tokenizer
from nodes.models.text.textual_inversion import Embeddings
from tests.nodes.reference import numbers

REFERENCE = numbers("tokens")
SIZES = {"labvec": 2, "labone": 1, "sub/deep": 3}
"""How many vectors each embedding has."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """One text encoder of a family; `key` is the reference's."""

    key: str
    tokenizer: Tokenizer
    width: int
    rules: TextRules


CLIP, T5 = ClipTokenizer.clip(), T5Tokenizer.t5()
PADDED_WITH_END = TextRules(length=77, start=49406, end=49407, pad=49407)
PADDED_WITH_0 = replace(PADDED_WITH_END, pad=0)
AT_LEAST_77 = TextRules(length=None, start=None, end=1, pad=0, min_length=77)
ENCODERS = {
    "CLIP-L": Encoder("l", CLIP, 768, PADDED_WITH_END),
    "CLIP-G": Encoder("g", CLIP, 1280, PADDED_WITH_0),
    "CLIP-H": Encoder("g", CLIP, 1024, PADDED_WITH_0),
    "T5 of SD3": Encoder("t5", T5, 4096, AT_LEAST_77),
    "T5 of FLUX": Encoder("t5", T5, 4096, replace(AT_LEAST_77, min_length=256)),
}


def fits(found: str, width: int) -> bool:
    """Whether the embeddings in it are as wide: all others are left out, which it ignores."""
    return set(re.findall("emb:([0-9]+)", found)) <= {str(width)}


PROMPTS = [
    (name, number)
    for name, encoder in ENCODERS.items()
    for number, prompt in enumerate(REFERENCE["prompts"])
    if fits(str(prompt[encoder.key]), encoder.width)
]


class KnownEmbeddings(Embeddings):
    """Those that were there when the reference was made."""

    def knows(self, name):
        return name.removesuffix(".safetensors") in SIZES

    def find(self, name, width):
        size = SIZES.get(name.removesuffix(".safetensors"))
        return None if size is None else torch.zeros(size, width)


def expanded(section, least):
    """A section of the reference with its runs written out, and "nan" as a number.

    T5's have been padded to 77.
    """
    entries = []
    for entry in section:
        entries += [entry[2]] * entry[1] if entry[0] == "*" else [entry]
    entries += [[0, 1.0, 0]] * (least - len(entries))
    return [[token, str(float(weight)), word] for token, weight, word in entries]


def entry(token):
    shown = token.id if token.vector is None else f"emb:{len(token.vector)}"
    return [shown, str(float(token.weight)), token.word]


@pytest.mark.parametrize("text", REFERENCE["segments"], ids=ascii)
def test_a_text_has_the_ids_of_the_reference(text):
    assert ClipTokenizer.clip().encode(text) == REFERENCE["segments"][text][1:-1]


@pytest.mark.parametrize("text", REFERENCE["t5_segments"], ids=ascii)
def test_a_text_has_the_ids_of_the_reference_for_t5(text):
    assert T5Tokenizer.t5().encode(text) == REFERENCE["t5_segments"][text][:-1]


@pytest.mark.parametrize("text", REFERENCE["weights"], ids=ascii)
def test_a_prompt_has_the_weights_of_the_reference(text):
    expected = [
        (part.replace("\0\1", ")").replace("\0\2", "("), str(float(weight)))
        for part, weight in REFERENCE["weights"][text]
    ]

    assert [(s.text, str(s.weight)) for s in parse(text)] == expected


@pytest.mark.parametrize(("name", "number"), PROMPTS)
def test_a_prompt_has_the_sections_of_the_reference(name, number):
    encoder, reference = ENCODERS[name], REFERENCE["prompts"][number]
    embeddings = KnownEmbeddings(None, print)
    reader = PromptReader(encoder.tokenizer, encoder.rules, encoder.width, embeddings)

    sections = reader.chunks(reference["text"])

    expected = [expanded(section, encoder.rules.min_length) for section in reference[encoder.key]]
    assert [[entry(token) for token in section] for section in sections] == expected
