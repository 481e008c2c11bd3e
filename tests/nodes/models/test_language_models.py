"""Language models as text encoders: tokens, hidden states, files, LoRAs, and what is wrong."""

import json
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, cast

import pytest
import torch
from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline
from transformers.models.qwen2.tokenization_qwen2 import Qwen2Tokenizer

from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.conditioning.family_prompts import t5_tokenizer_options
from nodes.builtin.conditioning.prompts import clip_set_last_layer
from nodes.builtin.model.text_encoders import clip_loader
from nodes.models.export.checkpoint import encoder_tensors
from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.families.base.language_records import QWEN3
from nodes.models.families.base.spec import HiddenStatePolicy, TextEncoderSet
from nodes.models.families.base.text_encoders import encoder_names, read_encoder
from nodes.models.families.diffusers_layout import read_model
from nodes.models.families.errors import TextEncoderError
from nodes.models.loading.checkpoint import open_network
from nodes.models.loading.handles import ClipHandle
from nodes.models.loading.text_files import open_text_files
from nodes.models.loading.text_model import TextEncoder, TextModel
from nodes.models.networks.components.language_model import LanguageModelText, network_of
from nodes.models.patches.lora import lora_patch
from nodes.models.patches.lora_file import LoraFile
from nodes.models.text.chunks import Token
from nodes.models.text.qwen_tokenizer import (
    qwen2_tokenizer,
    qwen3_tokenizer,
    shipped_vocabulary,
)
from nodes.models.weights.errors import BadMetadataError
from nodes.models.weights.header import Header, TensorInfo
from nodes.preflight import models as preflight
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import lora, write
from tests.tiny_models.compare import NO_WORDS
from tests.tiny_models.language_models import BYTES, small_qwen3, their_tokenizer
from tests.tiny_models.quantized_files import scaled, write_gguf

TEXTS = {
    "Hello world": [9707, 1879],
    "a photo of a red fox, 35mm film, f/1.8": [
        *(64, 6548, 315, 264, 2518, 38835, 11, 220, 18, 20, 3821, 4531, 11, 282, 14, 16, 13, 23)
    ],
    "DON'T we'll I'VE": [84641, 17323, 582, 3278, 358, 6, 4491],
    "  two  blanks\n\n\tand a tab  \n": [220, 1378, 220, 78540, 271, 52477, 264, 5651, 2303],
    "宁静的山间湖泊，水彩画风格": [  # noqa: RUF001
        *(110212, 9370, 57811, 17881, 114394, 3837, 52510, 99414, 54623, 104040)
    ],
    "日本語のテキスト": [101059, 102819, 15767, 56833, 61803, 70534],
    "naïve café e\u0301té": [3376, 37572, 586, 51950, 23639],
    "🎨🖼️ \u200bx": [146818, 148396, 30543, 29748, 87],
    "<|im_start|>user\n\n (a cat:1.3)<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n": [
        *(151644, 872, 271, 320, 64, 8251, 25, 16, 13, 18, 8, 151645, 198, 151644, 77091, 198),
        *(151667, 271, 151668, 271),
    ],
    "الخط العربي": [31382, 124938, 130538],
}
"""The ids of OpenAI's tiktoken 0.12 with the published ranks, after NFC."""
TEMPLATE = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
FILE = "qwen_3_4b.safetensors"
FILE_PATH = Path(FILE)
EMPTY = Token(0)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    folder = bench.root / "models/text_encoders"
    tensors = small_qwen3()
    write(folder / FILE, tensors, BYTES)
    write(folder / "other.safetensors", small_qwen3(1536), BYTES)
    write(folder / "bare.safetensors", without(tensors, "model."), BYTES)
    seeing = {key.replace("model.", "model.language_model."): t for key, t in tensors.items()}
    seeing["model.visual.patch_embed.weight"] = torch.zeros(4, 4)
    write(folder / "seeing.safetensors", seeing, BYTES)
    return bench


def without(tensors, prefix):
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}


def encoded(clip, text="a cat"):
    return clip.encode(text, NO_WORDS).tokens


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_text_has_the_ids_of_the_published_tokenizer(text):
    assert qwen3_tokenizer().encode(text) == TEXTS[text]


def test_texts_have_the_ids_of_transformers():
    vocabulary, merges = shipped_vocabulary()
    theirs = Qwen2Tokenizer(vocabulary, cast("Any", merges))
    hard = ["\u1e69\u0323 x\u00a0y", " ...!?\r\n\r\n", "'S 'lL", "a" * 300, "\t\t \n ", "١٢٣ 4½"]

    assert len(vocabulary) == 151_643
    for text in hard:
        assert qwen3_tokenizer().encode(text) == theirs(text).input_ids


def test_only_qwen3_has_tokens_of_thoughts():
    older, newer = (make(*BYTES.values()) for make in (qwen2_tokenizer, qwen3_tokenizer))

    assert newer.encode("<think>") == [256 + 24]
    assert older.encode("<think>") == list(newer.encode("<think")) + newer.encode(">")
    assert older.encode("<|file_sep|>") == newer.encode("<|file_sep|>") == [256 + 21]


@pytest.mark.parametrize(
    ("model", "config", "extra"),
    [
        ("qwen3.modeling_qwen3:Qwen3Model", "qwen3.configuration_qwen3:Qwen3Config", {}),
        ("qwen2.modeling_qwen2:Qwen2Model", "qwen2.configuration_qwen2:Qwen2Config", {}),
        (
            "mistral.modeling_mistral:MistralModel",
            "mistral.configuration_mistral:MistralConfig",
            {},
        ),
        (
            "gemma2.modeling_gemma2:Gemma2Model",
            "gemma2.configuration_gemma2:Gemma2Config",
            {"scales_embedding": True},
        ),
        (
            "qwen2_5_vl.modeling_qwen2_5_vl:Qwen2_5_VLTextModel",
            "qwen2_5_vl.configuration_qwen2_5_vl:Qwen2_5_VLTextConfig",
            {"coordinates": 3},
        ),
        (
            "qwen3_vl.modeling_qwen3_vl:Qwen3VLTextModel",
            "qwen3_vl.configuration_qwen3_vl:Qwen3VLTextConfig",
            {"coordinates": 3},
        ),
    ],
)
def test_a_record_is_enough_to_run_a_language_model_of_transformers(model, config, extra):
    record = replace(
        QWEN3, model=f"transformers.models.{model}", config=f"transformers.models.{config}", **extra
    )
    sizes = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3}
    heads: dict[str, Any] = {
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "pad_token_id": 0,
    }
    if "VL" in config:
        sections = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
        heads["rope_parameters"] = sections
    torch.manual_seed(0)
    ours = network_of(record).builder()(sizes | heads).eval().requires_grad_(False)
    made = resolve_name(record.config)(**sizes, **heads)
    theirs = resolve_name(record.model)(made).eval().requires_grad_(False)
    theirs.load_state_dict(ours.state_dict())
    ids = torch.arange(1, 14)[None]
    attended = torch.ones(1, 13, dtype=torch.bool)
    attended[:, 9:] = False
    drive = LanguageModelText(record, ours)

    embedded = torch.nn.functional.embedding(ids, drive.token_embedding)
    plain, masked = list(drive.states(embedded)), list(drive.states(embedded, attended))

    expected = theirs(input_ids=ids, output_hidden_states=True)
    assert len(plain) == drive.depth == 3
    for mine, other in zip(plain[:-1], expected.hidden_states[1:-1], strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-5)
    torch.testing.assert_close(drive.norm(plain[-1]), expected.last_hidden_state, rtol=0, atol=1e-5)
    padded = theirs(input_ids=ids, attention_mask=attended.long(), output_hidden_states=True)
    torch.testing.assert_close(masked[1], padded.hidden_states[2], rtol=0, atol=1e-5)
    assert not torch.allclose(masked[1][:, 9:], plain[1][:, 9:])


def klein(bench, **policy):
    """The encoder as a family reads it that wants several layers of a padded chat."""
    path = bench.root / "models/text_encoders" / FILE
    chat = TEMPLATE + "<think>\n\n</think>\n\n"
    wanted = HiddenStatePolicy(
        layers=(1, 2), final_norm=False, template=chat, reads_weights=False, **policy
    )
    header = read_model(path)
    spec = read_encoder(header, "", "qwen3_4b", wanted)
    network = open_network(ModelPool(), header, "", spec.network)
    styles = TextEncoderSet("klein", {"qwen3_4b": wanted}, "single", "flux2", (1,))
    return ClipHandle(TextModel(path, (TextEncoder(network, spec.rules),), styles))


def test_several_layers_and_padding_are_as_in_flux2s_pipeline(bench):
    clip = klein(bench, min_length=48, masks_padding=True)
    network = clip.text.encoders[0].network.module()

    mine = [encoded(clip, text) for text in ("a (red:1.3) cat", "dog")]

    theirs = Flux2KleinPipeline._get_qwen3_prompt_embeds(
        cast("Any", FirstStates(network)),
        their_tokenizer(),
        ["a (red:1.3) cat", "dog"],
        dtype=torch.float32,
        device=torch.device("cpu"),
        max_sequence_length=48 + 32,
        hidden_states_layers=[1, 2],
    )
    assert theirs.shape[-1] == 2 * 2560
    for row, tokens in zip(theirs, mine, strict=True):
        torch.testing.assert_close(tokens[0], row[: tokens.shape[1]], rtol=0, atol=1e-5)


class FirstStates(torch.nn.Module):
    """A language model in the place of the causal one around it, which the pipeline calls."""

    dtype = torch.float32

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, **inputs):
        return self.model(**inputs)


def test_the_states_of_the_first_tokens_can_be_dropped(bench):
    whole, part = encoded(klein(bench)), encoded(klein(bench, dropped=7))

    assert torch.equal(part, whole[:, 7:])


def test_a_prompt_is_text_without_weights(bench):
    clip = clip_loader(FILE, "lumina2", ctx=bench)
    (chunk,) = clip.text.encoders[0].chunks("(a:1.5)\n\\(b", NO_WORDS)

    before, after = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
    tokenizer = qwen3_tokenizer(BYTES["tokenizer.vocab"], BYTES["tokenizer.merges"])
    assert [token.id for token in chunk] == tokenizer.encode(f"{before}(a:1.5)\n\\(b{after}")
    assert {token.weight for token in chunk} == {1.0}


@pytest.mark.parametrize("kind", ["lumina2", "stable_diffusion"])
def test_the_file_tells_the_family(bench, kind):
    clip = clip_loader(FILE, kind, ctx=bench)

    assert clip.text.encoder_set is not None
    assert clip.text.encoder_set.name == "z_image"
    assert [encoder.name for encoder in clip.text.encoders] == ["qwen3_4b"]
    assert encoded(clip).shape == (1, len("user\na cat\nassistant\n") + 3, 2560)
    preflight.text_encoder({"clip_name": FILE, "type": kind}, bench.files)


@pytest.mark.parametrize("name", ["bare.safetensors", "seeing.safetensors"])
def test_other_layouts_give_the_same(bench, name):
    clip = clip_loader(name, "lumina2", ctx=bench)

    assert torch.equal(encoded(clip), encoded(clip_loader(FILE, "lumina2", ctx=bench)))


def test_shards_give_the_same(bench):
    folder, tensors = bench.root / "models/text_encoders", small_qwen3()
    for number, half in enumerate((list(tensors)[::2], list(tensors)[1::2]), 1):
        part = {key: tensors[key] for key in half}
        write(folder / f"model-0000{number}-of-00002.safetensors", part, BYTES)

    clip = clip_loader("model-00001-of-00002.safetensors", "lumina2", ctx=bench)

    assert torch.equal(encoded(clip), encoded(clip_loader(FILE, "lumina2", ctx=bench)))


def test_a_size_that_the_family_does_not_read_is_named(bench):
    with pytest.raises(TextEncoderError, match="holds a Qwen3 of width 1536, which type") as told:
        clip_loader("other.safetensors", "lumina2", ctx=bench)
    with pytest.raises(TextEncoderError, match="holds qwen3_4b, which type 'sd3' does not use"):
        clip_loader(FILE, "sd3", ctx=bench)

    assert told.value.hint == "It uses qwen3_4b, gemma2_2b."


def test_a_damaged_vocabulary_is_told(bench, tmp_path):
    for text in ("[", "[1]"):
        path = write(tmp_path / "a.safetensors", small_qwen3(), BYTES | {"tokenizer.vocab": text})
        with pytest.raises(BadMetadataError, match=r"'tokenizer\.vocab' is not"):
            open_text_files([(path, text)], "lumina2", ModelPool())


@pytest.mark.parametrize(
    ("name", "width", "inner", "layers", "heads"),
    [
        ("qwen3_06b", 1024, 3072, 28, 16),
        ("qwen3_4b", 2560, 9728, 36, 32),
        ("qwen3_8b", 4096, 12288, 36, 32),
    ],
)
def test_the_published_sizes_are_read_from_shapes(name, width, inner, layers, heads):
    shapes = {
        "embed_tokens.weight": (151936, width),
        "layers.0.self_attn.q_norm.weight": (128,),
        "layers.0.self_attn.k_proj.weight": (1024, width),
        "layers.0.mlp.gate_proj.weight": (inner, width),
        **{f"layers.{n}.self_attn.q_proj.weight": (heads * 128, width) for n in range(layers)},
    }
    infos = {f"model.{key}": TensorInfo("BF16", shape) for key, shape in shapes.items()}
    header = Header(FILE_PATH, infos, {"config": json.dumps({name: {"rope_theta": 5e6}})})

    spec = read_encoder(header, "", name, HiddenStatePolicy())

    assert encoder_names(header)[0] == name
    assert spec.network.config == {
        "vocab_size": 151936,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "rope_theta": 5e6,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "max_position_embeddings": 40960,
    }
    assert spec.rules.pad == 151643


@pytest.mark.parametrize(
    "name",
    [
        "lora_te_model_layers_1_self_attn_q_proj",
        "text_encoder.model.layers.1.self_attn.q_proj",
        "text_encoders.qwen3_4b.transformer.model.layers.1.self_attn.q_proj",
        "qwen3_4b.transformer.model.layers.1.self_attn.q_proj",
    ],
)
def test_a_lora_changes_it(bench, tmp_path, name):
    clip = clip_loader(FILE, "lumina2", ctx=bench)
    network = clip.text.encoders[0].network
    tensors = lora(3, {name: (32, 2560)})
    patch = lora_patch(LoraFile(write(tmp_path / "a.safetensors", tensors), name), 0.5, network)

    changed = clip.with_patch("qwen3_4b", patch)

    assert patch.touches == {"layers.1.self_attn.q_proj.weight"}
    assert not torch.allclose(encoded(changed), encoded(clip), atol=1e-4)
    saved = dict(encoder_tensors(changed))["qwen3_4b"]
    before = small_qwen3()
    assert saved.keys() == before.keys()
    different = {key for key, tensor in saved.items() if not torch.equal(tensor, before[key])}
    assert different == {"model.layers.1.self_attn.q_proj.weight"}


def test_fewer_bits_give_nearly_the_same(bench, tmp_path):
    tensors = small_qwen3()
    small, plain = scaled(tensors)
    narrow = write(tmp_path / "fp8.safetensors", small, BYTES)
    wide = write(tmp_path / "plain.safetensors", plain, BYTES)

    clips = [
        ClipHandle(open_text_files([(path, path.name)], "lumina2", ModelPool()))
        for path in (narrow, wide)
    ]

    torch.testing.assert_close(encoded(clips[0]), encoded(clips[1]), rtol=0, atol=1e-4)
    assert encoded(clips[0]).std() > 0.1


def test_llama_cpps_names_are_read(bench, tmp_path):
    tensors = small_qwen3()
    names = {key: llama_name(key) for key in tensors}
    path = tmp_path / "a.gguf"
    meant = write_gguf(path, tensors, "Q8_0", names)

    header = read_model(path)

    assert header.tensors.keys() == tensors.keys()
    clip = ClipHandle(open_text_files([(path, "gguf")], "lumina2", ModelPool()))
    wide = write(tmp_path / "plain.safetensors", meant)
    plain = ClipHandle(open_text_files([(wide, "plain")], "lumina2", ModelPool()))
    ids = [[replace(EMPTY, id=n) for n in (5, 60, 200)]]
    found, expected = (
        each.text.encoders[0].encode([ids], (), None)[0].tokens for each in (clip, plain)
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def llama_name(key):
    """The name that llama.cpp gives to a weight of Qwen3."""
    for theirs, ours in (
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("model.layers.", "blk."),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.", "attn_"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("mlp.", "ffn_"),
        ("_proj", ""),
    ):
        key = key.replace(theirs, ours)
    return key


def test_a_workflow_may_read_another_layer(bench):
    clip = clip_loader(FILE, "lumina2", ctx=bench)

    last = encoded(clip_set_last_layer(clip, -1))
    deeper = encoded(clip_set_last_layer(clip, -2))

    assert torch.equal(deeper, encoded(clip))
    assert not torch.allclose(last, deeper)


def test_t5s_padding_is_not_a_language_models(bench):
    clip = clip_loader(FILE, "lumina2", ctx=bench)

    padded = t5_tokenizer_options(clip, 8, 64, ctx=bench)

    assert padded.text == clip.text
    assert "no T5" in bench.notices[-1]


def test_a_vision_encoder_alone_is_no_text_encoder(tmp_path):
    path = write(tmp_path / "a.safetensors", {"visual.patch_embed.weight": torch.zeros(4)})

    with pytest.raises(UnrecognisedFileError, match="text encoder"):
        open_text_files([(path, "")], "lumina2", ModelPool())
