"""Changes of weights by packs: LoRAs, merges, factors; compared with our own nodes' weights."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import nodes
from nodegraph.runtime.model_pool import ModelPool
from nodes.comfy.host.comfy import lora as comfy_lora
from nodes.comfy.host.comfy import sd
from nodes.comfy.values.encoders import PackClip
from nodes.comfy.values.errors import NotOfferedError
from nodes.comfy.values.models import PackModel
from nodes.models.loading.checkpoint import open_checkpoint
from nodes.models.loading.handles import ClipHandle, ModelHandle
from nodes.models.patches.lora import lora_patch
from nodes.models.patches.lora_file import LoraFile
from nodes.models.patches.merge import MergePatch, Share, common
from tests.tiny_models.samplable import samplable

ASSETS = Path(nodes.__file__).parent / "assets"
DEMO, LORA = ASSETS / "demo-shapes.safetensors", ASSETS / "demo-outline-lora.safetensors"
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def demo():
    opened = open_checkpoint(DEMO, str(DEMO), ModelPool())
    return PackModel(ModelHandle(opened.model)), PackClip(ClipHandle(opened.text))


def weights(handle: ModelHandle) -> dict[str, Tensor]:
    return {key: w.clone() for key, w in handle.model.network.kept_weights(handle.patches).items()}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for key, weight in one.items():
        torch.testing.assert_close(weight, other[key], atol=1e-6, rtol=1e-5, msg=key)


def changed(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    return {key for key, weight in one.items() if not weight.equal(other[key])}


def test_a_lora_that_a_pack_applies_is_that_of_our_loader(demo):
    model, clip = demo
    tensors = load_file(LORA)
    key_map = comfy_lora.model_lora_keys_unet(model.model)
    key_map = comfy_lora.model_lora_keys_clip(clip.cond_stage_model, key_map)
    loaded = comfy_lora.load_lora(tensors, key_map)
    patched, text = model.clone(), clip.clone()

    used = {*patched.add_patches(loaded, 0.7), *text.add_patches(loaded, 0.7)}

    ours = lora_patch(LoraFile(LORA, "x"), 0.7, model.handle.model.network)
    assert_same(weights(patched.handle), weights(model.handle.with_patch(ours)))
    assert changed(weights(patched.handle), weights(model.handle)) == ours.touches
    assert used == set(loaded)
    assert set(patched.patches) <= used
    assert all(name in model.model_state_dict() for name in patched.patches)
    again, _ = sd.load_lora_for_models(model, None, tensors, 0.7, 0)
    assert again is not None
    assert_same(weights(again.handle), weights(patched.handle))


def test_a_lora_of_a_text_encoder_that_a_pack_applies_is_that_of_our_loader(demo, tmp_path):
    _, clip = demo
    (encoder,) = clip.handle.text.found
    name = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    key = next(
        key for key in encoder.network.table if key.endswith("layers.0.self_attn.q_proj.weight")
    )
    width = encoder.network.file.shapes[key][0]
    tensors = {
        f"{name}.lora_up.weight": torch.randn(width, 2),
        f"{name}.lora_down.weight": torch.randn(2, width),
        f"{name}.alpha": torch.tensor(1.0),
    }
    save_file(tensors, tmp_path / "text.safetensors")

    _, theirs = sd.load_lora_for_models(None, clip, tensors, 0, 0.5)
    ours = lora_patch(LoraFile(tmp_path / "text.safetensors", "y"), 0.5, encoder.network)

    assert theirs is not None
    ((_, patch),) = theirs.handle.patches
    found = encoder.network.changed_weights((patch,))
    assert_same(found, encoder.network.changed_weights((ours,)))
    assert list(found) == [key]
    assert clip.handle.patches == ()


@pytest.mark.parametrize("kind", ["sd3", "flux"])
def test_a_lora_for_parts_of_fused_weights_is_that_of_our_loader(kind, tmp_path):
    """diffusers' names, q of an attention and a whole linear layer beside it."""
    handle = samplable(tmp_path, kind).model
    network = handle.model.network
    tensors: dict[str, Tensor] = {}
    ends = (
        "attn.to_q.weight",
        "attn.to_k.weight",
        "norm_out.linear.weight",
        "ff.net.0.proj.weight",
    )
    for key in [key for key in network.table if key.endswith(ends)][:6]:
        rows, columns = network.file.shapes[key]
        base = f"transformer.{key.removesuffix('.weight')}"
        tensors[f"{base}.lora_B.weight"] = torch.randn(rows, 2)
        tensors[f"{base}.lora_A.weight"] = torch.randn(2, columns)
    save_file(tensors, tmp_path / "lora.safetensors")
    patched = PackModel(handle)

    loaded = comfy_lora.load_lora(tensors, comfy_lora.model_lora_keys_unet(patched.model))
    patched.add_patches(loaded, 0.5)

    ours = handle.with_patch(lora_patch(LoraFile(tmp_path / "lora.safetensors", "z"), 0.5, network))
    assert len(loaded) == len(tensors) / 2
    assert_same(weights(patched.handle), weights(ours))
    assert changed(weights(patched.handle), weights(handle))


def test_models_are_merged_by_the_patches_of_each_weight(demo, tmp_path):
    model, _ = demo
    other_file = tmp_path / "other.safetensors"
    with safe_open(DEMO, framework="pt") as file:
        halves = {key: file.get_tensor(key) * 0.5 for key in file.keys()}  # noqa: SIM118 - no dict
        save_file(halves, other_file, metadata=file.metadata())
    other = PackModel(ModelHandle(open_checkpoint(other_file, "other", ModelPool()).model))
    merged = model.clone()

    for name, value in other.get_key_patches("diffusion_model.").items():
        ratio = 0.25 if name.startswith("diffusion_model.input_blocks.") else 0.75
        merged.add_patches({name: value}, 1.0 - ratio, ratio)

    network, theirs = model.handle.model.network, other.handle.model.network
    first = {key for key, s in network.table.items() if ".input_blocks." in s.key}
    keys = common(network, theirs)
    shares = (Share(frozenset(first), 0.25, 0.75), Share(keys - first, 0.75, 0.25))
    ours = model.handle.with_patch(MergePatch(theirs, (), shares))
    assert_same(weights(merged.handle), weights(ours))


def test_a_weight_can_be_read_and_the_changes_of_one_calculated(demo):
    model, _ = demo
    name = "diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_q.weight"
    ((weight, convert),) = model.get_key_patches(name)[name]
    stored = load_file(DEMO)[f"model.{name}"].float()

    assert weight.shape == stored.shape
    torch.testing.assert_close(torch.add(convert(weight), 0).float(), stored)
    difference = model.clone()
    difference.add_patches(model.get_key_patches(name), -1.0, 1.0)
    (key,) = difference.handle.patches[0].touches
    assert not weights(difference.handle)[key].any()
    by_hand = comfy_lora.calculate_weight([(2.0, ("diff", (stored,)), 0.5, None, None)], stored, "")
    torch.testing.assert_close(by_hand, stored * 2.5)


def test_weights_are_set_and_scaled_in_parts(demo):
    model, clip = demo
    name, key = "diffusion_model.out.2.bias", "conv_out.bias"
    bias = weights(model.handle)[key]
    patched = model.clone()

    patched.add_patches({name: (None,)}, 0.0, 3.0)
    patched.add_patches({(name, (0, 1, 2)): (torch.ones(2),)}, 10.0)
    assert weights(patched.handle)[key].allclose(bias * 3 + torch.tensor([0.0, 10.0, 10.0, 0.0]))
    patched.add_patches({name: ("set", (torch.zeros(4),))})
    assert not weights(patched.handle)[key].any()
    assert patched.add_patches({"nobodys.weight": (torch.ones(4),)}) == []
    assert patched.patch_model() is patched.model

    text = clip.clone()
    names = [each for each in clip.patcher.model_state_dict() if each.endswith("k_proj.weight")]
    assert all(each.startswith("clip_l.transformer.text_model.") for each in names)
    assert text.add_patches(dict.fromkeys(names, (None,)), 0.0, 0.0) == names
    assert len(text.handle.patches) == 1

    patched.add_patches({name: (torch.ones(3),)})
    with pytest.raises(NotOfferedError, match=r"shape \[3\] for one of \[4\]"):
        weights(patched.handle)
    strange = model.clone()
    strange.add_patches({name: ("strange", (torch.ones(4),))})
    with pytest.raises(NotOfferedError, match="of the kind 'strange'"):
        weights(strange.handle)
