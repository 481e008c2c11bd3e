"""Qwen3-VL as a text encoder: told from Qwen3, its texts as diffusers has them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers.modular_pipelines.flux3.encoders import Flux3TextEncoderStep
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLTextConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextModel

from nodegraph.runtime.model_pool import ModelPool
from nodes.models.families.base.language_records import QWEN3_VL
from nodes.models.families.base.spec import HiddenStatePolicy, TextEncoderSet
from nodes.models.families.base.text_encoders import encoder_names, read_encoder
from nodes.models.families.diffusers_layout import read_model
from nodes.models.loading.checkpoint import open_network
from nodes.models.loading.handles import ClipHandle
from nodes.models.loading.text_model import TextEncoder, TextModel
from nodes.models.weights.header import Header, TensorInfo
from tests.nodes.models.family_checks import in_float32
from tests.tiny_models.checkpoints import write
from tests.tiny_models.compare import NO_WORDS
from tests.tiny_models.language_models import (
    BYTES,
    small_qwen3,
    small_qwen3_vl,
    their_tokenizer,
)

CHAT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
ROPE: dict[str, Any] = dict(QWEN3_VL.constants["rope_parameters"])


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("text") / "vl.safetensors", small_qwen3_vl(), BYTES)


def opened(path, **policy):
    """The encoder as a family reads it that wants these states."""
    wanted = HiddenStatePolicy(template=CHAT, reads_weights=False, **policy)
    header = read_model(path)
    spec = read_encoder(header, "", "qwen3_vl_4b", wanted)
    network = open_network(ModelPool(), header, "", spec.network)
    styles = TextEncoderSet("vl", {"qwen3_vl_4b": wanted}, "single", "vl", (1,))
    return ClipHandle(TextModel(path, (TextEncoder(network, spec.rules),), styles))


def their_model():
    sizes: dict[str, Any] = {
        "vocab_size": 288,
        "hidden_size": 2560,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "rope_parameters": ROPE,
    }
    model = Qwen3VLTextModel(Qwen3VLTextConfig(**sizes))
    weights = {
        k.removeprefix("model."): t for k, t in small_qwen3_vl().items() if "visual" not in k
    }
    model.load_state_dict(in_float32(weights))
    return model.eval()


class TheirProcessor:
    """The processor of the tokenizer alone, for texts."""

    def __init__(self):
        self.tokenizer = their_tokenizer()
        self.apply_chat_template = self.tokenizer.apply_chat_template


@pytest.mark.parametrize("text", ["a (red:1.3) cat", "x" * 120])
def test_several_layers_and_attended_padding_are_as_in_flux3s_pipeline(file, text):
    clip = opened(
        file,
        layers=(1, 2),
        final_norm=False,
        multiple=80,
        masks_padding=True,
        padding_position=1,
    )

    found = clip.encode(text, NO_WORDS).tokens

    expected = Flux3TextEncoderStep._get_qwen3_vl_prompt_embeds(
        cast("Any", their_model()),
        cast("Any", TheirProcessor()),
        text,
        hidden_states_layers=(1, 2),
    )
    assert found.shape[1] in (80, 160)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_the_last_layer_can_be_read_before_the_final_norm(file):
    clip = opened(file, layers=(-1,), final_norm=False)
    theirs = their_model()
    last: list[torch.Tensor] = []
    theirs.norm.register_forward_hook(lambda _module, args, _output: last.append(args[0]))

    found = clip.encode("a cat", NO_WORDS).tokens

    theirs(**their_tokenizer()(CHAT.format("a cat"), return_tensors="pt"))
    torch.testing.assert_close(found, last[0], rtol=0, atol=1e-5)


def renamed(eyes, language):
    """The file's tensors with these roots of the vision encoder's and of the language's names."""
    names = {"visual": eyes, "model": language}
    parted = ((key.split(".", 1), tensor) for key, tensor in small_qwen3_vl().items())
    return {f"{names[root]}.{rest}": tensor for (root, rest), tensor in parted}


@pytest.mark.parametrize("language", ["model", "model.language_model", "language_model"])
def test_eyes_tell_it_in_every_layout(file, tmp_path, language):
    path = write(tmp_path / "a.safetensors", renamed("model.visual", language), BYTES)

    assert encoder_names(read_model(path)) == encoder_names(read_model(file)) == ("qwen3_vl_4b",)
    found, expected = (opened(each).encode("a", NO_WORDS).tokens for each in (path, file))
    assert torch.equal(found, expected)


def test_without_eyes_only_the_reader_can_tell_it_from_qwen3(tmp_path):
    path = write(tmp_path / "blind.safetensors", small_qwen3(), BYTES)
    header = read_model(path)

    kinds = [
        read_encoder(header, "", name, HiddenStatePolicy()).network.kind
        for name in ("qwen3_4b", "qwen3_vl_4b")
    ]

    assert encoder_names(header) == ("qwen3_4b", "qwen3_vl_4b")
    assert kinds == ["qwen3", "qwen3_vl"]


def test_the_architecture_of_a_gguf_file_tells_it():
    shapes = {key: tuple(tensor.shape) for key, tensor in small_qwen3().items()}
    infos = {key: TensorInfo("Q8_0", shape) for key, shape in shapes.items()}
    plain = Header(Path("a.gguf"), infos, {})

    named = [
        encoder_names(replace(plain, metadata={"general.architecture": name}))
        for name in ("qwen3", "qwen3vl")
    ]

    assert named == [("qwen3_4b",), ("qwen3_vl_4b",)]


@pytest.mark.parametrize(
    ("name", "width", "inner"), [("qwen3_vl_4b", 2560, 9728), ("qwen3_vl_8b", 4096, 12288)]
)
def test_the_published_sizes_are_read_from_shapes(name, width, inner):
    shapes = {
        "model.embed_tokens.weight": (151936, width),
        "model.layers.0.self_attn.q_norm.weight": (128,),
        "model.layers.0.self_attn.k_proj.weight": (1024, width),
        "model.layers.0.mlp.gate_proj.weight": (inner, width),
        **{f"model.layers.{n}.self_attn.q_proj.weight": (4096, width) for n in range(36)},
        "visual.deepstack_merger_list.0.norm.weight": (4096,),
    }
    infos = {key: TensorInfo("BF16", shape) for key, shape in shapes.items()}
    header = Header(Path("a.safetensors"), infos, {"config": json.dumps({})})

    spec = read_encoder(header, "", name, HiddenStatePolicy())

    assert encoder_names(header) == (name,)
    assert spec.network.kind == "qwen3_vl"
    assert spec.network.config == {
        "vocab_size": 151936,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "rope_parameters": ROPE,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "max_position_embeddings": 262144,
    }
    assert (ROPE["rope_theta"], spec.rules.pad) == (5e6, 151643)
