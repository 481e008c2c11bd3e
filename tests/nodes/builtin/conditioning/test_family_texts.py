"""What holds for the prompts of every family: embeddings, earlier layers, many at once."""

import pytest
import torch

from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.conditioning.prompts import clip_set_last_layer, clip_text_encode
from nodes.models.loading.handles import ClipHandle
from nodes.models.loading.text_files import open_text_files
from nodes.models.text.textual_inversion import Embeddings
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import (
    LETTERS,
    small_clip,
    small_sd21,
    small_sdxl,
    small_t5,
    write,
)
from tests.tiny_models.handles import opened

FAMILIES = ("sd2", "sdxl", "sd3", "flux")
WORDS = {
    "clip": "embeddings.token_embedding.weight",
    "t5": "embed_tokens.weight",
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    built = {"l": small_clip(768), "g": small_clip(1280), "t5": small_t5()}
    clip_l, clip_g, t5 = (
        (write(folder / f"{name}.safetensors", tensors, LETTERS), name)
        for name, tensors in built.items()
    )
    sd2, sdxl = (
        opened(write(folder / f"{build.__name__}.safetensors", build())).text
        for build in (small_sd21, small_sdxl)
    )
    files = {"sd3": [clip_l, clip_g, t5], "flux": [clip_l, t5]}
    texts = {kind: open_text_files(each, kind, ModelPool()) for kind, each in files.items()}
    return {name: ClipHandle(text) for name, text in {"sd2": sd2, "sdxl": sdxl, **texts}.items()}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def encoded(clip, text, bench):
    (cond,) = clip_text_encode(text, clip, bench).conds
    return cond


def vectors(clip, text):
    """What each encoder looks the tokens of a word up as, by its name."""
    found = {}
    for encoder in clip.text.encoders:
        table = encoder.network.module().state_dict()[WORDS[encoder.network.spec.kind]]
        found[encoder.name] = table[encoder.tokenizer.encode(text)].clone()
    return found


def save(bench, tensors):
    write(bench.root / "models/embeddings/mine.safetensors", tensors)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_embedding_of_a_words_own_vectors_is_that_word(clips, bench, family):
    clip = clips[family]
    found = vectors(clip, "in")
    save(bench, found if len(found) > 1 else {"emb_params": found.popitem()[1]})

    cond = encoded(clip, "a embedding:mine the", bench)

    word = encoded(clip, "a in the", bench)
    torch.testing.assert_close(cond.tokens, word.tokens)
    torch.testing.assert_close(cond.pooled, word.pooled)
    assert not bench.notices


def test_an_encoder_that_an_embedding_has_nothing_for_ignores_it(clips, bench):
    clip = clips["sd3"]
    found = vectors(clip, "in")
    save(bench, {name: found[name] for name in ("clip_l", "clip_g")})

    cond = encoded(clip, "a embedding:mine", bench)

    with_word, without = (encoded(clip, text, bench) for text in ("a in", "a"))
    torch.testing.assert_close(cond.tokens[:, :77], with_word.tokens[:, :77])
    assert torch.equal(cond.tokens[:, 77:], without.tokens[:, 77:])
    assert bench.notices == [
        "Embedding 'mine' is for another text encoder than t5xxl, which ignores it."
    ]


def test_an_embedding_that_is_not_there_is_pointed_out_once(clips, bench):
    encoded(clips["sd3"], "embedding:none", bench)

    assert bench.notices == ["No embedding 'none' in models/embeddings: it is ignored."]


@pytest.mark.parametrize(("family", "own"), [("sd2", -2), ("sdxl", -2), ("flux", -1)])
def test_a_family_has_a_layer_of_its_own(clips, bench, family, own):
    first, second = (clip_set_last_layer(clips[family], layer) for layer in (-1, -2))

    usual = encoded(clips[family], "in", bench).tokens
    last, before = (encoded(clip, "in", bench).tokens for clip in (first, second))

    assert torch.equal(usual, last if own == -1 else before)
    assert not torch.equal(last, before)


def test_a_layer_is_that_of_each_of_sd3s_encoders(clips, bench):
    usual = encoded(clips["sd3"], "in", bench).tokens

    last, before = (
        encoded(clip_set_last_layer(clips["sd3"], layer), "in", bench).tokens for layer in (-1, -2)
    )

    assert torch.equal(before[:, :77], usual[:, :77])
    assert torch.equal(last[:, 77:], usual[:, 77:])
    assert not torch.equal(last[:, :77, :768], usual[:, :77, :768])
    assert not torch.equal(last[:, :77, 768:2048], usual[:, :77, 768:2048])
    assert not torch.equal(before[:, 77:], usual[:, 77:])


@pytest.mark.parametrize("family", FAMILIES)
def test_many_prompts_at_once_are_what_each_is_alone(clips, family):
    clip, embeddings = clips[family], Embeddings(None, print)
    prompts = ["in", "", "a " * 100 + "(in:1.4)", "(the:0.5) in"]

    chunks = [clip.chunks(prompt, embeddings) for prompt in prompts]
    together = clip.text.encode_chunks(chunks, clip.by_encoder, clip.layer)

    for prompt, found in zip(prompts, together, strict=True):
        alone = clip.encode(prompt, embeddings)
        torch.testing.assert_close(found.tokens, alone.tokens, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found.pooled, alone.pooled, rtol=1e-4, atol=1e-4)
