"""Prompts and embeddings beyond what the reference's tokens tell."""

import pytest
import torch

from nodes.builtin.conditioning.prompts import clip_set_last_layer, clip_text_encode
from nodes.models.families.base.spec import TextRules
from nodes.models.loading.handles import ClipHandle
from nodes.models.text.chunks import PromptReader
from nodes.models.text.clip_tokenizer import ClipTokenizer
from nodes.models.text.prompt_weights import parse
from nodes.models.text.textual_inversion import Embeddings
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    return ClipHandle(opened(write(folder / "small.safetensors", small_sd15())).text)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def tokens(clip, text, bench):
    (cond,) = clip_text_encode(text, clip, bench).conds
    return cond.tokens


def save(bench, name, tensors):
    write(bench.root / "models" / "embeddings" / name, tensors)


def test_an_embedding_of_a_words_own_vector_is_that_word(clip, bench):
    table = clip.text.encoders[0].network.module().state_dict()["embeddings.token_embedding.weight"]
    (cat,) = ClipTokenizer.clip().encode("cat")
    save(bench, "mycat.safetensors", {"emb_params": table[cat : cat + 1].clone()})

    found = tokens(clip, "a embedding:mycat", bench)

    torch.testing.assert_close(found, tokens(clip, "a cat", bench))
    assert not bench.notices


def test_an_sdxl_embedding_gives_its_part_for_clip_l(clip, bench):
    vectors = {"clip_l": torch.ones(1, 64), "clip_g": torch.ones(1, 1280)}
    save(bench, "both.safetensors", vectors)
    save(bench, "one.safetensors", {"emb_params": torch.ones(1, 64)})

    assert torch.equal(tokens(clip, "embedding:both", bench), tokens(clip, "embedding:one", bench))


def test_what_trainers_keep_beside_an_embedding_is_passed_over(clip, bench):
    vectors = {"emb_params": torch.ones(1, 64), "a_step": torch.tensor(9), "b": torch.zeros(1, 64)}
    save(bench, "trained.safetensors", vectors)
    save(bench, "one.safetensors", {"emb_params": torch.ones(1, 64)})

    found = tokens(clip, "embedding:trained", bench)

    assert torch.equal(found, tokens(clip, "embedding:one", bench))
    assert not bench.notices


@pytest.mark.parametrize(
    ("name", "content", "notice"),
    [
        ("none", None, "No embedding 'bad'"),
        ("bad.safetensors", {"emb_params": torch.ones(1, 7)}, "another text encoder"),
        ("bad.safetensors", {"clip_g": torch.ones(1, 64)}, "another text encoder"),
        ("bad.pt", b"\x80\x02" + bytes(40), "pickle"),
    ],
)
def test_an_embedding_that_can_not_be_used_is_left_out(clip, bench, name, content, notice):
    if isinstance(content, bytes):
        folder = bench.root / "models" / "embeddings"
        folder.mkdir(parents=True)
        (folder / name).write_bytes(content)
    elif content:
        save(bench, name, content)

    found = tokens(clip, "a embedding:bad", bench)

    assert torch.equal(found, tokens(clip, "a", bench))
    assert notice in bench.notices[0]


@pytest.mark.parametrize(
    ("prompt", "same"),
    [
        ("embedding:a,embedding:b/c", "embedding:a , embedding:b/c"),
        ("embedding:a,red", "embedding:a ,red"),
        ("red,embedding:a, blue", "red, embedding:a , blue"),
        ("embedding:d,e red", "embedding:a red"),
        (r"embedding:b\c red", "embedding:b/c red"),
        ("embedding:none,red", ",red"),
    ],
)
def test_embeddings_may_stand_beside_commas_and_below_windows_folders(clip, bench, prompt, same):
    for name, value in {"a": 1, "b/c": 2, "d,e": 1}.items():
        save(bench, f"{name}.safetensors", {"emb_params": torch.full((1, 64), float(value))})

    assert torch.equal(tokens(clip, prompt, bench), tokens(clip, same, bench))
    assert bench.notices == (
        ["No embedding 'none' in models/embeddings: it is ignored."] * ("none" in prompt)
    )


def test_a_weight_moves_a_token_away_from_the_empty_prompt(clip, bench):
    plain, empty = tokens(clip, "cat", bench), tokens(clip, "", bench)

    doubled = tokens(clip, "(cat:2)", bench)

    torch.testing.assert_close(doubled[:, 1], 2 * plain[:, 1] - empty[:, 1])
    torch.testing.assert_close(doubled[:, 0], plain[:, 0])


@pytest.mark.parametrize(("layer", "same"), [(-1, True), (-2, False), (-24, True)])
def test_an_earlier_layer_can_be_read(clip, bench, layer, same):
    earlier = tokens(clip_set_last_layer(clip, layer), "cat", bench)

    assert torch.equal(earlier, tokens(clip, "cat", bench)) is same


@pytest.mark.parametrize(("words", "in_first"), [(7, 0), (8, 3)])
def test_a_short_stretch_is_never_cut(words, in_first):
    rules = TextRules(length=77, start=49406, end=49407, pad=49407)
    reader = PromptReader(ClipTokenizer.clip(), rules, 64, Embeddings(None, print))

    first, second = reader.chunks("a " * 72 + f"({'b ' * words}:1.2)")

    assert [token.word for token in first].count(2) == in_first
    assert [token.word for token in second].count(2) == words - in_first


def test_no_depth_of_parentheses_is_too_much():
    (segment,) = parse("(" * 5000 + "cat" + ")" * 5000)

    assert segment.text == "(" * 4900 + "cat" + ")" * 4900
    assert segment.weight == pytest.approx(1.1**100)


def test_a_prompts_key_holds_the_content_of_the_embeddings_it_may_name(bench):
    save(bench, "mycat.safetensors", {"emb_params": torch.zeros(1, 768)})
    state = clip_text_encode.state
    assert state is not None

    before = state({"text": "a embedding:mycat, (b:1.2)"}, bench.files)
    plain = state({"text": "a cat"}, bench.files)
    save(bench, "mycat.safetensors", {"emb_params": torch.ones(1, 768)})

    assert plain == ""
    assert before != state({"text": "a embedding:mycat, (b:1.2)"}, bench.files)
    assert state({"text": "a embedding:mydog"}, bench.files) == ""
    assert "mycat" in state({}, bench.files)
    save(bench, "pets/tom.safetensors", {"emb_params": torch.zeros(1, 768)})
    assert "tom" in state({"text": r"a embedding:pets\tom"}, bench.files)
