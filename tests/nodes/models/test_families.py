"""A checkpoint tells its family, its sizes, and which tensor is which weight."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nodes.models.families.base.encoder_keys import clip_table
from nodes.models.families.base.errors import MissingWeightsError
from nodes.models.families.base.ldm_keys import unet_table, vae_table
from nodes.models.families.base.spec import DiscreteRules, NetworkSpec
from nodes.models.families.base.text_encoders import clip_config
from nodes.models.families.base.vaes.vae import vae_config
from nodes.models.families.denoisers.unets.layouts import unet_config
from nodes.models.families.denoisers.unets.sd15 import TEXT_PREFIX
from nodes.models.families.errors import UnknownFamilyError
from nodes.models.families.registry import architecture_of
from nodes.models.loading.network import Network
from nodes.models.networks.factory import skeleton
from nodes.models.weights.errors import BadMetadataError
from nodes.models.weights.header import Header
from nodes.models.weights.tensor_info import TensorInfo
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened
from training.original_layout import to_original_layout

UNET = {
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
    "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
    "cross_attention_dim": 768,
    "use_linear_projection": False,
}
VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "latent_channels": 4,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "use_quant_conv": True,
    "use_post_quant_conv": True,
    "mid_block_add_attention": True,
}
TEXT = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "bos_token_id": 49406,
    "eos_token_id": 49407,
    "pad_token_id": 49407,
}


def header_of(tensors, metadata=None, name="test.safetensors"):
    infos = {key: TensorInfo("F16", tuple(value.shape)) for key, value in tensors.items()}
    return Header(Path(name), infos, metadata or {})


def full_size(unet=None):
    """Stable Diffusion 1.5's tensors, without their numbers."""
    heads = {"attention_head_dim": 8}
    specs = [
        NetworkSpec("unet", "", {**UNET, **(unet or {}), **heads}, "", unet_table),
        NetworkSpec("vae", "", VAE, "", vae_table),
        NetworkSpec("clip", "", TEXT, "", clip_table),
    ]
    return to_original_layout(*(skeleton(spec).state_dict() for spec in specs))


def test_the_real_models_configuration_is_read_from_its_shapes():
    header = header_of(full_size())

    architecture = architecture_of(header)

    assert architecture.model.family == "sd15"
    assert unet_config(header, "model.diffusion_model.") == UNET
    assert vae_config(header, "first_stage_model.") == VAE
    assert clip_config(header, TEXT_PREFIX) == TEXT
    assert architecture.model.network.config["attention_head_dim"] == 8
    parameters = [info.numel for key, info in header.tensors.items() if ".diffusion_model." in key]
    assert sum(parameters) == 859_520_964


def test_an_inpainting_model_has_nine_input_channels():
    architecture = architecture_of(header_of(full_size({"in_channels": 9})))

    assert architecture.model.network.config["in_channels"] == 9
    assert architecture.model.latent.channels == 4


def test_exporting_what_was_loaded_gives_the_file_back(tmp_path):
    tensors = small_sd15()
    architecture = architecture_of(header_of(tensors))
    assert architecture.vae
    assert architecture.text
    states = []
    (text,) = architecture.text.encoders
    for spec in (architecture.model.network, architecture.vae.network, text.network):
        network = Network(header_of(tensors), "", spec)
        table = network.table
        states.append({key: tensors[source.key] for key, source in table.items()})
        attention = [key for key, source in table.items() if source.op == "conv1x1"]
        states[-1] |= {key: states[-1][key].flatten(1) for key in attention}

    exported = to_original_layout(*states)

    assert exported.keys() == tensors.keys()
    assert all(torch.equal(exported[key], tensors[key]) for key in tensors)


def test_the_metadata_says_what_shapes_do_not():
    config = {
        "unet": {"norm_num_groups": 8, "attention_head_dim": 4, "in_channels": 99},
        "vae": {"norm_num_groups": 4},
        "clip": {"num_attention_heads": 2, "pad_token_id": 7},
    }
    said = {
        "modelspec.prediction_type": "v",
        "config": json.dumps(config),
        "tokenizer.vocab": "{}",
        "tokenizer.merges": "a b",
        "preview.rgb": "[[1, 0, 0.5]]",
    }

    architecture = architecture_of(header_of(small_sd15(), said))

    assert architecture.model.noise == DiscreteRules("v")
    assert architecture.model.network.config["norm_num_groups"] == 8
    assert architecture.model.network.config["attention_head_dim"] == 4
    assert architecture.model.network.config["in_channels"] == 4, "a shape is no matter of opinion"
    assert architecture.vae
    assert architecture.vae.network.config["norm_num_groups"] == 4
    assert architecture.text
    (text,) = architecture.text.encoders
    assert text.rules.pad == 7
    assert (text.rules.vocabulary, text.rules.merges) == ("{}", "a b")
    assert architecture.model.latent.rgb == ((1.0, 0.0, 0.5),)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("config", "{"),
        ("config", "[]"),
        ("config", '{"unet": 1}'),
        ("modelspec.prediction_type", "guess"),
        ("preview.rgb", '[["a"]]'),
        ("preview.rgb", "[[1, 2]]"),
        ("preview.rgb", "3"),
    ],
)
def test_metadata_without_meaning_is_refused(key, value):
    with pytest.raises(BadMetadataError, match=r"test\.safetensors"):
        architecture_of(header_of(small_sd15(), {key: value}))


def test_an_unknown_family_is_described():
    header = header_of({"transformer.wte.weight": torch.zeros(1)})

    with pytest.raises(UnknownFamilyError) as caught:
        architecture_of(header)

    assert "transformer.wte.weight" in caught.value.message
    assert "Stable Diffusion 1.x" in caught.value.hint


def test_a_checkpoint_without_its_unets_end_is_incomplete():
    tensors = small_sd15()
    del tensors["model.diffusion_model.out.2.weight"]

    with pytest.raises(MissingWeightsError, match=r"U-Net: no .*out\.2\.weight"):
        architecture_of(header_of(tensors))


def test_recognising_a_checkpoint_needs_no_torch():
    code = "import nodes.preflight.models, sys; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_wrong_shape_is_named(tmp_path):
    tensors = small_sd15()
    tensors["first_stage_model.decoder.conv_in.bias"] = torch.zeros(3, dtype=torch.float16)
    checkpoint = opened(write(tmp_path / "a.safetensors", tensors))

    with pytest.raises(MissingWeightsError, match=r"conv_in\.bias is \[3\], not \[32\]"):
        checkpoint.vae.network.module()
