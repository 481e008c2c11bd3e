"""Gemma 2 as a text encoder: its tokenizer, which files bring along, long texts, and files."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers.models.gemma2.configuration_gemma2 import Gemma2Config
from transformers.models.gemma2.modeling_gemma2 import Gemma2Model

from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.conditioning.family_prompts import clip_text_encode_lumina2
from nodes.builtin.model.checkpoints import checkpoint_loader_simple
from nodes.builtin.model.text_encoders import clip_loader
from nodes.models.export.checkpoint import checkpoint_tensors, convert, encoder_tensors
from nodes.models.families.base.errors import (
    MissingTokenizerError,
    UnreadableTokenizerError,
    UnrecognisedFileError,
)
from nodes.models.families.base.language_records import GEMMA2
from nodes.models.families.errors import TextEncoderError
from nodes.models.loading.handles import ClipHandle
from nodes.models.loading.text_files import open_text_files
from nodes.models.networks.components.language_model import LanguageModelText, network_of
from nodes.models.text.gemma_tokenizer import gemma_tokenizer
from nodes.preflight import models as preflight
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import write
from tests.tiny_models.compare import NO_WORDS
from tests.tiny_models.language_models import small_gemma2
from tests.tiny_models.sentencepiece_models import (
    as_tensor,
    gemma_tokenizer_of_transformers,
    pieces,
    sentencepiece_model,
)
from tests.tiny_models.whole_models import whole_lumina2

FILE, WHOLE = "gemma_2_2b_fp16.safetensors", "whole.safetensors"
MODEL = sentencepiece_model()
TEXTS = (
    "a cat in the snow", "  snow\n\n\nfoxes  at", "a <mask>cat", "crème 日本 🦊\t.", "", " ",
    "snow" * 30, "snowcatinfox<eos><0x41>",
)  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    models = bench.root / "models"
    write(models / "text_encoders" / FILE, small_gemma2())
    write(models / "checkpoints" / WHOLE, whole_lumina2())
    return bench


def without_tokenizer():
    tensors = small_gemma2()
    del tensors["spiece_model"]
    return tensors


def opened(path, kind="lumina2"):
    return ClipHandle(open_text_files([(path, str(path))], kind, ModelPool()))


def encoded(clip, text="a cat in snow"):
    return clip.encode(text, NO_WORDS).tokens


def named(ids):
    return [pieces()[number][0] for number in ids]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_text_has_the_ids_of_transformers(text):
    theirs = gemma_tokenizer_of_transformers()
    special = text.endswith("<eos><0x41>")  # these are no text there

    ids = gemma_tokenizer(MODEL.decode("latin-1")).encode(text)

    if not special:
        assert ids == theirs(text, add_special_tokens=False).input_ids


def test_names_of_start_and_bytes_are_text():
    tokenizer = gemma_tokenizer(MODEL.decode("latin-1"))

    assert named(tokenizer.encode("<eos>"))[0] == "<0x3C>"
    assert named(tokenizer.encode("<0x41>"))[:2] == ["<0x3C>", "<0x30>"]


def test_a_tokenizer_json_gives_the_same():
    theirs = gemma_tokenizer_of_transformers()
    data = theirs.backend_tokenizer.to_str().encode()

    mine = gemma_tokenizer(data.decode("latin-1"))

    for text in TEXTS:
        assert mine.encode(text) == gemma_tokenizer(MODEL.decode("latin-1")).encode(text)


@pytest.mark.parametrize(
    "data",
    [
        MODEL[:-3],
        MODEL[:500],
        sentencepiece_model(kind=1),
        b"\x0a\x03abc",
        b"\x0f" * 9,
        b"\xff" * 40,
        b"{}",
        b'{"model": []}',
        b"{" * 5000,
    ],
)
def test_a_damaged_tokenizer_is_told(tmp_path, data):
    clip = opened(write(tmp_path / FILE, small_gemma2() | {"spiece_model": as_tensor(data)}))

    with pytest.raises(UnreadableTokenizerError, match=f"gemma2_2b in '{FILE}' can not be read"):
        encoded(clip)


def test_a_file_without_a_tokenizer_is_told_before_anything_is_loaded(bench):
    bare = "bare.safetensors"
    write(bench.root / "models/text_encoders" / bare, without_tokenizer())

    with pytest.raises(MissingTokenizerError, match=r"bare\.safetensors") as told:
        clip_loader(bare, "lumina2", ctx=bench)
    with pytest.raises(MissingTokenizerError):
        preflight.text_encoder({"clip_name": bare, "type": "lumina2"}, bench.files)

    assert "tokenizer.model" in (told.value.hint or "")


def test_a_checkpoint_without_a_tokenizer_still_gives_its_model(bench):
    tensors = whole_lumina2()
    del tensors["text_encoders.spiece_model"]
    write(bench.root / "models/checkpoints/mute.safetensors", tensors)

    model, clip, _ = checkpoint_loader_simple("mute.safetensors", bench)

    assert model.model.spec.family == "lumina2"
    with pytest.raises(MissingTokenizerError, match=r"mute\.safetensors"):
        encoded(clip)


@pytest.mark.parametrize("name", ["tokenizer.model", "tokenizer.json"])
def test_the_publishers_tokenizer_may_lie_beside_the_file(bench, tmp_path, name):
    path = write(tmp_path / FILE, without_tokenizer())
    theirs = gemma_tokenizer_of_transformers().backend_tokenizer.to_str().encode()
    (tmp_path / name).write_bytes(theirs if name.endswith("json") else MODEL)

    assert torch.equal(encoded(opened(path)), encoded(clip_loader(FILE, "lumina2", ctx=bench)))


@pytest.mark.parametrize("kind", ["lumina2", "stable_diffusion"])
def test_the_file_tells_the_family(bench, kind):
    clip = clip_loader(FILE, kind, ctx=bench)

    assert clip.text.encoder_set is not None
    assert clip.text.encoder_set.name == "lumina2"
    assert named(token.id for token in clip.text.encoders[0].chunks("a cat", NO_WORDS)[0]) == [
        *("<bos>", "a", "\N{LOWER ONE EIGHTH BLOCK}", "cat")
    ]


def test_other_layouts_give_the_same(bench, tmp_path):
    weights = without_tokenizer()
    bare = {key.removeprefix("model."): tensor for key, tensor in weights.items()}
    path = write(tmp_path / FILE, bare | {"spiece_model": as_tensor(MODEL)})
    _, whole, _ = checkpoint_loader_simple(WHOLE, bench)

    expected = encoded(clip_loader(FILE, "lumina2", ctx=bench))

    assert torch.equal(encoded(opened(path)), expected)
    assert torch.equal(encoded(whole), expected)


def test_a_weight_in_the_prompt_counts(bench):
    clip = clip_loader(FILE, "lumina2", ctx=bench)

    plain, weighted = encoded(clip, "a cat"), encoded(clip, "a (cat:1.5)")

    assert plain.shape == weighted.shape
    assert not torch.allclose(plain, weighted, atol=1e-3)


def test_the_node_writes_the_authors_text_before_the_prompt(bench):
    clip = clip_loader(FILE, "lumina2", ctx=bench)
    before = "You are an assistant designed to generate high-quality images with the highest degree"
    whole = f"{before} of image-text alignment based on textual prompts. <Prompt Start> a cat"

    found = clip_text_encode_lumina2("alignment", "a cat", clip, bench)

    assert torch.equal(found.conds[0].tokens, encoded(clip, whole))


def test_a_saved_file_has_the_tokenizer(bench, tmp_path):
    model, clip, vae = checkpoint_loader_simple(WHOLE, bench)

    whole = checkpoint_tensors(model, clip, vae)
    ((name, alone),) = encoder_tensors(clip)

    assert name == "gemma2_2b"
    assert whole["text_encoders.spiece_model"].numpy().tobytes() == MODEL
    assert alone.keys() == small_gemma2().keys()
    convert(bench.root / "models/checkpoints" / WHOLE, tmp_path / "b.safetensors")
    assert torch.equal(encoded(opened(write(tmp_path / "a.safetensors", alone))), encoded(clip))


@pytest.mark.parametrize("masked", [False, True])
def test_a_layer_with_a_window_reads_the_last_tokens_as_in_transformers(masked):
    sizes = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3}
    heads: dict[str, Any] = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    settings: dict[str, Any] = {**GEMMA2.constants, **sizes, **heads, "sliding_window": 5}
    torch.manual_seed(0)
    ours = network_of(GEMMA2).builder()(settings).eval().requires_grad_(False)
    theirs = Gemma2Model(Gemma2Config(**settings)).eval().requires_grad_(False)
    theirs.load_state_dict(ours.state_dict())
    ids = torch.arange(1, 14)[None]
    attended = torch.ones(1, 13, dtype=torch.bool)
    attended[:, 9:] = not masked

    drive = LanguageModelText(GEMMA2, ours)
    embedded = torch.nn.functional.embedding(ids, drive.token_embedding)
    found = list(drive.states(embedded, attended if masked else None))

    expected = theirs(ids, attention_mask=attended.long(), output_hidden_states=True).hidden_states
    for mine, other in zip(found[:-1], expected[1:-1], strict=True):
        torch.testing.assert_close(mine[:, :9], other[:, :9], rtol=0, atol=1e-5)
    whole = replace(GEMMA2, constants={**GEMMA2.constants, "sliding_window": None})
    far = list(LanguageModelText(whole, with_window(ours, None)).states(embedded))
    assert not torch.allclose(far[0], found[0], atol=1e-4)


def with_window(network, window):
    for layer in network.layers:
        layer.self_attn.sliding_window = window
    return network


def test_a_size_that_no_family_reads_is_named(tmp_path):
    small = {"embed_tokens.weight": (9, 3584), "layers.0.post_feedforward_layernorm.weight": (4,)}
    tensors = {f"model.{key}": torch.zeros(shape) for key, shape in small.items()}

    with pytest.raises(TextEncoderError, match="a Gemma 2 of width 3584, which type") as told:
        opened(write(tmp_path / "a.safetensors", tensors))

    assert "gemma2_2b" in (told.value.hint or "")


def test_gemma_3_is_neither_gemma_2_nor_qwen3(tmp_path):
    tensors = without_tokenizer() | {"model.layers.0.self_attn.q_norm.weight": torch.zeros(256)}

    with pytest.raises(UnrecognisedFileError, match="holds no text encoder"):
        opened(write(tmp_path / "a.safetensors", tensors))


def test_the_published_tokenizers_kind_of_pairs_may_be_lists():
    model = {"vocab": {"<unk>": 0, "a": 1, "b": 2, "ab": 3}, "unk_token": "<unk>"}
    texts = [
        json.dumps({"model": {**model, "merges": merges}, "added_tokens": []})
        for merges in (["a b"], [["a", "b"]])
    ]

    assert [gemma_tokenizer(text).encode("aab?") for text in texts] == [[1, 3, 0]] * 2
