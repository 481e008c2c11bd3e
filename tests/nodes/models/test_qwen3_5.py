"""Qwen3.5: its states, its texts and its pictures are those of transformers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.generation.configuration_utils import GenerationConfig
from transformers.models.qwen3_5.configuration_qwen3_5 import Qwen3_5Config, Qwen3_5TextConfig
from transformers.models.qwen3_5.modeling_qwen3_5 import (
    Qwen3_5ForCausalLM,
    Qwen3_5ForConditionalGeneration,
    Qwen3_5TextModel,
)

from nodes.builtin.model.text_encoders import clip_loader
from nodes.builtin.text.generation import Likely, text_generate
from nodes.inference import text_generation
from nodes.inference.text_generation import Writer
from nodes.models.export.checkpoint import encoder_tensors
from nodes.models.families.base.errors import MissingWeightsError
from nodes.models.families.base.language_config import linear_bytes
from nodes.models.families.base.language_records import QWEN3_5
from nodes.models.families.base.text_encoders import encoder_names
from nodes.models.families.diffusers_layout import read_model
from nodes.models.families.errors import TextEncoderError
from nodes.models.networks.base.pictures import PixelPatches
from nodes.models.networks.components.language_model import LanguageModelText
from nodes.models.patches.lora import lora_patch
from nodes.models.patches.lora_file import LoraFile
from nodes.models.text.chat import chat
from nodes.models.text.chunks import Token
from nodes.models.text.qwen_tokenizer import qwen3_5_tokenizer, shipped_vocabulary
from nodes.models.text.word_choice import Likeliest
from nodes.models.weights.header import Header, TensorInfo
from nodes.preflight import models as preflight
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import in_float32
from tests.tiny_models.checkpoints import lora, write
from tests.tiny_models.compare import NO_WORDS
from tests.tiny_models.language_models import SEEING, small_qwen3_5
from tests.tiny_models.quantized_files import layers_in, scaled

TIED, HEADED, SEES = "tied.safetensors", "headed.safetensors", "sees.safetensors"
MOST = 12
ENDS = [256, 258]
"""The tokens that end a text, in the vocabulary of bytes."""
TEXTS = {
    "a photo of a red fox, f/1.8": [64, 6345, 314, 264, 2438, 37550, 11, 281, 14, 16, 13, 23],
    "DON'T we'll I'VE": [81720, 16813, 567, 3172, 353, 6, 4343],
    "हिन्दी में": [215989, 150127, 177453, 170239],
    "e\u0301té \u200bx": [37500, 28777, 87],
    "<|im_start|>a<think>\n\n</think>\n": [248045, 64, 248068, 271, 248069, 198],
}
"""The ids of OpenAI's tiktoken 0.14 with the published ranks, after NFC."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    folder = bench.root / "models/text_encoders"
    write(folder / TIED, small_qwen3_5(), SEEING)
    write(folder / HEADED, small_qwen3_5(head=True), SEEING)
    write(folder / SEES, small_qwen3_5(head=True, sees=True), SEEING)
    return bench


@pytest.fixture
def ctx(bench):
    """The same folders, with nothing told yet."""
    return replace(bench, notices=[], progressed=[], texts=[], checks=0)


def opened(bench, name=HEADED, kind="flux3"):
    return clip_loader(name, kind, ctx=bench)


def writer_of(clip):
    (encoder,) = clip.text.encoders
    return Writer(encoder, QWEN3_5)


def config_of(clip, **more):
    (encoder,) = clip.text.encoders
    return {**encoder.network.spec.config, **more}


def generated(model, ids, **more):
    """The tokens that transformers adds."""
    settings = GenerationConfig(
        max_new_tokens=MOST, eos_token_id=ENDS, pad_token_id=256, do_sample=False
    )
    rows = torch.tensor([ids])
    found = model.generate(
        rows, attention_mask=torch.ones_like(rows), generation_config=settings, **more
    )
    return [number for number in found[0, len(ids) :].tolist() if number not in ENDS]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_text_has_the_ids_of_the_published_tokenizer(text):
    assert qwen3_5_tokenizer().encode(text) == TEXTS[text]


def test_every_token_can_be_written():
    vocabulary, merges = shipped_vocabulary("qwen35")
    tokenizer = qwen3_5_tokenizer()

    assert (len(vocabulary), len(merges)) == (248_044, 248_044 - 256 - 232)
    assert tokenizer.bytes_of(106_972).decode() == "学一做"  # joined of no two others
    assert tokenizer.encode("<|endoftext|><|image_pad|>") == [QWEN3_5.pad[1], QWEN3_5.picture[1]]
    assert tokenizer.bytes_of(248_046) == b""


def test_states_are_those_of_transformers(bench):
    clip = opened(bench, TIED)
    (encoder,) = clip.text.encoders
    made = Qwen3_5TextConfig(**config_of(clip))
    theirs = Qwen3_5TextModel(made).eval()
    theirs.load_state_dict(in_float32(encoder_weights(TIED, bench)))
    ids = torch.randint(0, 256, (2, 70), generator=torch.Generator().manual_seed(1))
    there = torch.ones_like(ids)
    there[1, :9] = 0
    ours = LanguageModelText(QWEN3_5, encoder.network.module())

    for mask in (None, there):
        with torch.no_grad():
            expected = theirs(ids, attention_mask=mask, output_hidden_states=True)
            embedded = ours.token_embedding[ids]
            found = [*ours.states(embedded, None if mask is None else mask.bool())]
        kept = slice(None) if mask is None else there.bool()
        for one, other in zip(found[:-1], expected.hidden_states[1:-1], strict=True):
            torch.testing.assert_close(one[kept], other[kept], rtol=0, atol=1e-5)
        last = expected.last_hidden_state
        torch.testing.assert_close(ours.norm(found[-1])[kept], last[kept], rtol=0, atol=1e-5)
        difference = float((ours.norm(found[-1])[kept] - last[kept]).detach().abs().max())
        print(f"states: {difference:.1e} of {float(last.std()):.2f}")


def encoder_weights(name, bench):
    header = read_model(bench.root / "models/text_encoders" / name)
    assert "model.layers.0.linear_attn.A_log" in header
    tensors = small_qwen3_5()
    return {key.removeprefix("model."): tensor for key, tensor in tensors.items()}


@pytest.mark.parametrize("name", [TIED, HEADED])
def test_the_likeliest_words_are_those_of_transformers(bench, name):
    writer = writer_of(opened(bench, name))
    ids = writer.tokenizer.encode(chat(QWEN3_5, "a red fox in the deep snow", "be brief"))
    tied = name == TIED
    made = Qwen3_5TextConfig(**config_of(opened(bench, name), tie_word_embeddings=tied))
    model = Qwen3_5ForCausalLM(made)
    model.load_state_dict(in_float32(small_qwen3_5(head=not tied)), strict=not tied)

    found = list(writer.tokens([Token(n) for n in ids], Likeliest(), MOST))

    assert len(ids) > 64  # more than one chunk of the linear attention
    assert found == generated(model.eval(), ids)
    assert len(set(found)) > 1 or tied


def test_words_after_a_picture_are_those_of_transformers(bench):
    writer = writer_of(opened(bench, SEES))
    encoder = writer.encoder
    picture = torch.rand(256, 320, 3, generator=torch.Generator().manual_seed(1))
    prompt = "<|vision_start|><|image_pad|><|vision_end|>a fox"
    (row,) = encoder.chunks(prompt, NO_WORDS, [picture])

    found = list(writer.tokens(row, Likeliest(), MOST))

    assert found == see_and_write(writer, row)
    assert found != list(writer.tokens([t for t in row if not t.picture], Likeliest(), MOST))


def see_and_write(writer, row):
    """What transformers' whole model writes after these tokens."""
    encoder = writer.encoder
    assert encoder.vision
    pad = encoder.rules.picture
    made = Qwen3_5Config(
        text_config={**encoder.network.spec.config, "tie_word_embeddings": False},
        vision_config=dict(encoder.vision.spec.config),
        image_token_id=pad,
        tie_word_embeddings=False,
    )
    model: Any = Qwen3_5ForConditionalGeneration(made).eval()
    model.model.language_model.load_state_dict(encoder.network.module().state_dict())
    model.model.visual.load_state_dict(encoder.vision.module().state_dict())
    parts = encoder.head.module().state_dict().values()
    model.lm_head.load_state_dict({"weight": torch.cat(tuple(parts))})
    (seen,) = {token.picture for token in row if token.picture}
    assert isinstance(seen, PixelPatches)
    ids = [token.id for token in row]
    return generated(
        model,
        ids,
        pixel_values=seen.pixels,
        image_grid_thw=torch.tensor([[1, seen.rows * seen.merge, seen.columns * seen.merge]]),
        mm_token_type_ids=(torch.tensor([ids]) == pad).long(),
    )


@pytest.mark.parametrize("root", ["model.language_model.", "language_model.model."])
def test_it_is_told_in_every_layout_beside_what_it_does_not_read(bench, tmp_path, root):
    tensors = {f"{root}{k.removeprefix('model.')}": t for k, t in small_qwen3_5().items()}
    tensors |= {"model.visual.x": torch.zeros(2), "mtp.layers.0.mlp.up_proj.weight": torch.ones(2)}
    path = write(tmp_path / "models/text_encoders/a.safetensors", tensors, SEEING)

    assert encoder_names(read_model(path)) == ("qwen35_08b",)
    found, expected = (
        opened(each, name).encode("a", NO_WORDS).tokens
        for each, name in ((Bench(tmp_path), path.name), (bench, TIED))
    )
    assert torch.equal(found, expected)


def test_sizes_are_told_by_their_width_and_experts_are_not_read():
    shapes = {key: tuple(tensor.shape) for key, tensor in small_qwen3_5().items()}
    embedding = "model.embed_tokens.weight"

    def names(width: int, *more: str) -> tuple[str, ...]:
        sizes = {**shapes, embedding: (288, width), **dict.fromkeys(more, (1,))}
        infos = {key: TensorInfo("F16", shape) for key, shape in sizes.items()}
        return encoder_names(Header(Path("a"), infos, {}))

    assert [names(width)[0] for width in (1024, 2048, 2560, 4096, 5120)] == [
        *("qwen35_08b", "qwen35_2b", "qwen35_4b", "qwen35_9b", "qwen35_27b")
    ]
    assert names(1000) == ("a Qwen3.5 of width 1000",)
    assert names(2048, "model.layers.0.mlp.gate.weight") == ()


@pytest.mark.parametrize("kind", ["stable_diffusion", "qwen_image", "flux3", "lumina2"])
def test_loaders_of_every_type_open_it(bench, kind):
    preflight.text_encoder({"clip_name": HEADED, "type": kind}, bench.files)

    assert [each.name for each in opened(bench, HEADED, kind).text.encoders] == ["qwen35_08b"]


def test_what_it_is_not_is_told(bench, tmp_path):
    folder = tmp_path / "models/text_encoders"
    write(folder / "odd.safetensors", small_qwen3_5(64), SEEING)
    parts = small_qwen3_5()
    del parts["model.layers.0.linear_attn.A_log"]
    write(folder / "half.safetensors", parts, SEEING)

    with pytest.raises(TextEncoderError, match=r"holds a Qwen3\.5 of width 64"):
        opened(Bench(tmp_path), "odd.safetensors")
    with pytest.raises(MissingWeightsError, match="A_log"):
        opened(Bench(tmp_path), "half.safetensors")


def test_it_is_saved_as_it_was_read(bench):
    clip = opened(bench, SEES)

    ((name, saved),) = encoder_tensors(clip)

    expected = small_qwen3_5(head=True, sees=True)
    assert name == "qwen35_08b"
    assert {key for key in saved if "tokenizer" not in key} == expected.keys()
    assert all(torch.equal(saved[key], tensor) for key, tensor in expected.items())


def test_its_chat_begins_thoughts(bench, ctx):
    silent, loud = (chat(QWEN3_5, "hi", thinks=thinks) for thinks in (False, True))

    assert loud == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\n"
    assert silent == f"{loud}\n</think>\n\n"
    answer, thoughts = text_generate(opened(bench), "hi", MOST, Likely(), thinking=True, ctx=ctx)
    assert (answer, bool(thoughts)) == ("", True)


@pytest.mark.parametrize("layer", ["layers_0_linear_attn_in_proj_qkv", "layers_3_self_attn_q_proj"])
def test_a_lora_changes_what_is_written(bench, tmp_path, layer):
    clip = opened(bench)
    path = write(tmp_path / "a.safetensors", lora(3, {f"lora_te_{layer}": (128, 1024)}))
    patch = lora_patch(LoraFile(path, "l"), 4.0, clip.text.encoders[0].network)

    changed = clip.with_patch("qwen35_08b", patch)
    plain, other = (each.encode("a fox", NO_WORDS) for each in (clip, changed))

    assert not torch.equal(plain.tokens, other.tokens)


def blocks(form):
    """The weights in the form of quantised files, all but those that such files keep."""
    tensors = small_qwen3_5(head=True)
    inside = {
        key: tensor
        for key, tensor in tensors.items()
        if ".layers." in key and tensor.ndim == 2 and not any(n % 16 for n in tensor.shape)
    }
    return tensors | form(inside)


@pytest.mark.parametrize(
    ("form", "least"),
    [
        (lambda tensors: scaled(tensors)[0], 0.9),
        (lambda tensors: layers_in(tensors, name="int8_convrot"), 0.9),
        (lambda tensors: layers_in(tensors, name="w4a8"), 0.2),  # the tiny file's scales are coarse
    ],
    ids=["fp8_scaled", "int8_convrot", "w4a8"],
)
def test_files_in_few_bits_give_nearly_the_same(bench, tmp_path, form, least):
    write(tmp_path / "models/text_encoders/a.safetensors", blocks(form), SEEING)

    found, exact = (
        opened(each, name).encode("a fox", NO_WORDS).tokens
        for each, name in ((Bench(tmp_path), "a.safetensors"), (bench, HEADED))
    )

    assert not torch.equal(found, exact)
    assert float(torch.cosine_similarity(found, exact, dim=-1).min()) > least


def test_memory_is_asked_for_as_the_text_grows(bench, ctx, monkeypatch):
    uses = []
    monkeypatch.setattr(text_generation, "plan_use", uses.append)

    text_generate(opened(bench), "a fox", MOST, Likely(), ctx=ctx)

    rest = {use.activations for use in uses[1:]}
    kept, states = 256 * 2 * (1 + 2) * 16 * 4, 3 * 4 * (64 * 16 + 128 * 4)
    assert rest == {kept + (1024 * 32 + 288) * 4 + states + 4 * 64 * 24}
    assert uses[0].activations > max(rest)


def test_the_memory_of_linear_attention_follows_from_its_size():
    published = {
        "layer_types": [*["linear_attention"] * 3, "full_attention"] * 8,
        "linear_num_value_heads": 32,
        "linear_value_head_dim": 128,
        "linear_num_key_heads": 16,
        "linear_key_head_dim": 128,
        "linear_conv_kernel_dim": 4,
    }

    assert linear_bytes(published, 0) == 24 * (32 * 128 * 128 + 8192 * 4) * 4
    assert linear_bytes({"num_hidden_layers": 3}, 100) == 0
