"""LoRAs whose alpha is in the header: it counts as a tensor of it does."""

import json

import pytest
import torch

from nodes.models.patches.lora import lora_patch
from nodes.models.patches.lora_file import LoraFile
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened

KEY = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight"
NAME = "unet." + KEY.removesuffix(".weight")
RANK = 4


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    return opened(write(folder / "small.safetensors", small_sd15())).model.network


def factors():
    draw = torch.Generator().manual_seed(0)
    return torch.randn(32, RANK, generator=draw), torch.randn(RANK, 32, generator=draw)


def change(network, path, metadata, **more):
    """Return a LoRA's change to one weight at strength 1."""
    up, down = factors()
    tensors = {f"{NAME}.lora_B.weight": up, f"{NAME}.lora_A.weight": down, **more}
    patch = lora_patch(LoraFile(write(path, tensors, metadata), "x"), 1.0, network)
    before, after = (network.module(each).state_dict()[KEY] for each in ((), (patch,)))
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

    found = change(network, tmp_path / "a.safetensors", peft(lora_alpha=2), **own)

    torch.testing.assert_close(found, (up @ down) / 4, rtol=1e-4, atol=1e-5)
