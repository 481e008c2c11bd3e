"""Prompts become the reference's tokens, exactly."""

import pytest
import torch

from nodes.families.family import TextRules
from nodes.text.embeddings import Embeddings
from nodes.text.sections import PromptReader
from nodes.text.tokenizer import ClipTokenizer
from nodes.text.weights import parse
from tests.nodes.reference import numbers

REFERENCE = numbers("tokens")
SIZES = {"labvec": 2, "labone": 1, "sub/deep": 3}
"""How many vectors each embedding has."""
ENCODERS = {"l": (768, 49407), "g": (1280, 0)}
"""How wide each is, and what it pads with."""
PROMPTS = [
    (encoder, number)
    for encoder in ENCODERS
    for number, prompt in enumerate(REFERENCE["prompts"])
    if encoder == "l" or "emb:768" not in str(prompt["g"])  # CLIP-L's embeddings are left out
]


class KnownEmbeddings(Embeddings):
    """Those that were there when the reference was made."""

    def knows(self, name):
        return name.removesuffix(".safetensors") in SIZES

    def find(self, name, width):
        size = SIZES.get(name.removesuffix(".safetensors"))
        return None if size is None else torch.zeros(size, width)


def expanded(section):
    """A section of the reference with its runs written out, and "nan" as a number."""
    entries = []
    for entry in section:
        entries += [entry[2]] * entry[1] if entry[0] == "*" else [entry]
    return [[token, str(float(weight)), word] for token, weight, word in entries]


def entry(token):
    shown = token.id if token.vector is None else f"emb:{len(token.vector)}"
    return [shown, str(float(token.weight)), token.word]


@pytest.mark.parametrize("text", REFERENCE["segments"], ids=ascii)
def test_a_text_has_the_ids_of_the_reference(text):
    assert ClipTokenizer.clip().encode(text) == REFERENCE["segments"][text][1:-1]


@pytest.mark.parametrize("text", REFERENCE["weights"], ids=ascii)
def test_a_prompt_has_the_weights_of_the_reference(text):
    expected = [
        (part.replace("\0\1", ")").replace("\0\2", "("), str(float(weight)))
        for part, weight in REFERENCE["weights"][text]
    ]

    assert [(s.text, str(s.weight)) for s in parse(text)] == expected


@pytest.mark.parametrize(("encoder", "number"), PROMPTS)
def test_a_prompt_has_the_sections_of_the_reference(encoder, number):
    reference = REFERENCE["prompts"][number]
    width, pad = ENCODERS[encoder]
    rules = TextRules(length=77, start=49406, end=49407, pad=pad)
    reader = PromptReader(ClipTokenizer.clip(), rules, width, KnownEmbeddings(None, print))

    sections = reader.sections(reference["text"])

    found = [[entry(token) for token in section] for section in sections]
    assert found == [expanded(section) for section in reference[encoder]]
