"""Captions and the tokenizer that reads them."""

import json
import random

import pytest
import torch

from training.captions import caption, describe, sample_scenes, training_caption, triples
from training.tokenizer import build


def some_words(count=200):
    return describe(sample_scenes(count, torch.Generator().manual_seed(0)))


def test_the_full_caption_says_everything():
    for words in some_words(20):
        text = caption(words)

        assert all(part in text for part in (words.size, words.colour, words.shape))
        assert text.endswith(f"{words.background} background")


def test_some_captions_are_empty_and_some_leave_things_out():
    rng = random.Random(0)
    texts = [training_caption(words, rng) for words in some_words(1000)]

    assert 60 <= texts.count("") <= 140
    assert sum(len(text.split()) < 6 for text in texts) > 150


def test_trained_and_held_out_combinations_are_all_there_is_and_share_none():
    trained, held_out = ({tuple(row) for row in part.tolist()} for part in triples())

    assert not trained & held_out
    assert len(trained | held_out) == 6 * 10 * 9
    assert len(held_out) == 54


def test_every_word_of_a_full_caption_is_one_token():
    for words in some_words(50):
        tokens = build().encode([caption(words)])[0]
        used = (tokens != tokens[-1]).sum()

        assert used == len(caption(words).split()) + 1


@pytest.mark.filterwarnings("ignore")
def test_tokens_are_those_of_transformers_clip_tokenizer(tmp_path):
    from transformers import CLIPTokenizer

    tokenizer = build()
    (tmp_path / "vocab.json").write_text(json.dumps(tokenizer.vocab), encoding="utf-8")
    (tmp_path / "merges.txt").write_text(tokenizer.merges_text, encoding="utf-8")
    theirs = CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    rng = random.Random(1)
    texts = [training_caption(words, rng) for words in some_words()] + ["a hat, of zebras"]

    expected = theirs(texts, padding="max_length", max_length=32, return_tensors="pt").input_ids

    assert torch.equal(build().encode(texts), expected)
