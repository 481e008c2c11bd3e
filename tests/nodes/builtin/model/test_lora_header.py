"""LoRAs whose alpha is in the header or in a file beside: it counts as a tensor of it does."""

import json

import pytest
import torch

from nodegraph.execution.engine import Engine
from nodegraph.packs.registry import Registry
from nodegraph.settings.settings import Settings
from nodegraph.workflow.read import read_prompt
from nodes.builtin.model.checkpoints import checkpoint_loader_simple
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.models.loading.handles import ModelHandle
from nodes.models.patches.lora import LoraPatch, lora_patch
from nodes.models.patches.lora_config import read_beside
from nodes.models.patches.lora_file import LoraFile
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened

KEY = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight"
NAME = "unet." + KEY.removesuffix(".weight")
BIASED = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0.weight"
RANK = 4


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    return opened(write(folder / "small.safetensors", small_sd15())).model.network


def factors():
    draw = torch.Generator().manual_seed(0)
    return torch.randn(32, RANK, generator=draw), torch.randn(RANK, 32, generator=draw)


def change(network, path, metadata, more=None, *, key=KEY, name=NAME):
    """Return a LoRA's change to one weight at strength 1."""
    up, down = factors()
    factored = {f"{name}.lora_B.weight": up, f"{name}.lora_A.weight": down}
    tensors = {**factored, **(more or {})}
    file = LoraFile(write(path, tensors, metadata), "x", read_beside(path))
    patch = lora_patch(file, 1.0, network)
    assert key in patch.touches
    before, after = (network.module(each).state_dict()[key] for each in ((), (patch,)))
    return after - before


def peft(**entries):
    return {"lora_adapter_metadata": json.dumps(entries)}


@pytest.mark.parametrize(
    ("metadata", "scale"),
    [
        (peft(**{"unet.r": 4, "unet.lora_alpha": 2}), 0.5),
        (peft(r=4, lora_alpha=2), 0.5),
        (peft(**{"unet.lora_alpha": 1, "unet.use_rslora": True}), 0.5),
        (peft(**{"unet.lora_alpha": 4, "unet.alpha_pattern": {"attn1.to_q": 2}}), 0.5),
        (peft(**{"unet.lora_alpha": 2, "unet.alpha_pattern": {"attn2.to_q": 4}}), 0.5),
        ({"unet.lora_alpha": "2", "unet.r": "4"}, 0.5),
        (peft(**{"text_encoder.lora_alpha": 2}), 1.0),
        ({"lora_adapter_metadata": "no JSON"}, 1.0),
        ({"lora_adapter_metadata": "[1]"}, 1.0),
        (peft(**{"unet.lora_alpha": None, "unet.alpha_pattern": {}}), 1.0),
    ],
)
def test_the_header_says_how_strong_the_change_is(network, tmp_path, metadata, scale):
    up, down = factors()

    found = change(network, tmp_path / "a.safetensors", metadata)

    torch.testing.assert_close(found, scale * (up @ down), rtol=1e-4, atol=1e-5)


def test_a_tensor_of_alpha_counts_before_the_header(network, tmp_path):
    up, down = factors()
    own = {f"{NAME}.alpha": torch.tensor(1.0)}

    found = change(network, tmp_path / "a.safetensors", peft(lora_alpha=2), own)

    torch.testing.assert_close(found, (up @ down) / 4, rtol=1e-4, atol=1e-5)


def test_kohyas_alpha_in_the_header_is_not_that_of_tensors_that_are_missing(network, tmp_path):
    up, down = factors()
    metadata = {"ss_network_alpha": "1", "ss_network_dim": "4"}

    found = change(network, tmp_path / "a.safetensors", metadata)

    torch.testing.assert_close(found, up @ down, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("metadata", "scale"), [({}, 1.0), (peft(lora_alpha=2), 0.5)])
def test_the_bias_of_pefts_second_factor_is_scaled_as_the_factors_are(
    network, tmp_path, metadata, scale
):
    bias = BIASED.removesuffix("weight") + "bias"
    name = "unet." + BIASED.removesuffix(".weight")
    added = torch.linspace(-1, 1, 32)

    more = {f"{name}.lora_B.bias": added}

    found = change(network, tmp_path / "a.safetensors", metadata, more, key=bias, name=name)

    torch.testing.assert_close(found, scale * added)


@pytest.mark.parametrize(
    ("name", "others", "config", "scale"),
    [
        ("adapter_model.safetensors", [], {"lora_alpha": 2, "r": 4}, 0.5),
        ("adapter_model.safetensors", ["b.safetensors"], {"lora_alpha": 2}, 0.5),
        ("mine.safetensors", [], {"lora_alpha": 1, "use_rslora": True}, 0.5),
        ("mine.safetensors", ["b.safetensors"], {"lora_alpha": 2}, 1.0),
        ("mine.safetensors", [], {"lora_alpha": 2, "alpha_pattern": {"to_q": 1}}, 0.25),
        ("mine.safetensors", [], "no JSON", 1.0),
        ("mine.safetensors", [], {"lora_alpha": None}, 1.0),
    ],
)
def test_pefts_configuration_beside_the_file_counts(network, tmp_path, name, others, config, scale):
    up, down = factors()
    for other in others:
        (tmp_path / other).touch()
    text = config if isinstance(config, str) else json.dumps(config)
    (tmp_path / "adapter_config.json").write_text(text)

    found = change(network, tmp_path / name, {})

    torch.testing.assert_close(found, scale * (up @ down), rtol=1e-4, atol=1e-5)


def test_another_configuration_beside_the_file_makes_the_node_run_again(tmp_path):
    folder = tmp_path / "models/loras/mine"
    folder.mkdir(parents=True)
    (tmp_path / "models/checkpoints").mkdir()
    write(tmp_path / "models/checkpoints/small.safetensors", small_sd15())
    up, down = factors()
    write(folder / "a.safetensors", {f"{NAME}.lora_B.weight": up, f"{NAME}.lora_A.weight": down})
    registry = Registry.from_types(checkpoint_loader_simple, lora_loader_model_only)
    settings = Settings(models_dir=(tmp_path / "models",), cache_dir=tmp_path / "cache")
    engine = Engine(registry, settings.files())
    prompt = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "small.safetensors"}},
        "2": {
            "class_type": "LoraLoaderModelOnly",
            "inputs": {"model": ["1", 0], "lora_name": "mine/a.safetensors", "strength_model": 1},
        },
    }

    def alpha():
        (model,) = engine.run(read_prompt(prompt), targets=["2"]).outputs["2"]
        assert isinstance(model, ModelHandle)
        (patch,) = model.patches
        assert isinstance(patch, LoraPatch)
        return [*patch.file.configured_alphas.values()]

    seen = [alpha()]
    for number in (2, 3):
        (folder / "adapter_config.json").write_text(json.dumps({"lora_alpha": number}))
        seen.append(alpha())

    assert seen == [[], [2.0], [3.0]]
