"""What was loaded goes back to a file of the original layout, patches included."""

import json
import re

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from nodegraph.cli import cli
from nodegraph.errors import UnsafePathError
from nodes.builtin.model.checkpoints import checkpoint_loader_simple, unet_loader, vae_loader
from nodes.builtin.model.lora import lora_loader, lora_loader_model_only
from nodes.builtin.model.save import checkpoint_save, clip_save, model_save, vae_save
from nodes.builtin.sampling.model_sampling import model_sampling_discrete
from nodes.models.export.errors import UnsavableError
from nodes.models.families.base.spec import DiscreteRules
from nodes.models.loading.checkpoint import pixel_vae
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.models.loading.network_file import NetworkFile
from nodes.models.weights.header import read_header
from nodes.preflight.images import check_prefix
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import lora, small_flux, write
from tests.tiny_models.compare import (
    NO_WORDS,
    assert_same,
    assert_same_checkpoint,
    decoded,
    denoised,
)
from tests.tiny_models.folders import layouts, original
from tests.tiny_models.handles import opened


def saved(checkpoint, bench, **more):
    """Where a checkpoint was saved."""
    parts = (ModelHandle(checkpoint.model), ClipHandle(checkpoint.text), VaeHandle(checkpoint.vae))
    shown = checkpoint_save(*parts, "checkpoints/a", ctx=bench, **more)
    return bench.path(shown.artifacts["models"][0])


def raw(tensors):
    return {key: (t.dtype, t.shape, t.numpy().tobytes()) for key, t in tensors.items()}


_UNREAD = (
    *("logit_scale", "accum_iteration", "diffusion_model.norm_final.weight"),
    "visual.deepstack_merger_list.0.norm.weight",
)
"""Ends of the keys that no network has: of training, and of a vision encoder that is not whole."""
_VAE = re.compile(r"^vae\.")
"""Another prefix of the VAE's keys, which is read, but not written for a folder."""


@pytest.mark.parametrize("name", layouts())
def test_an_untouched_checkpoint_comes_back_bit_for_bit(name, single, tmp_path, monkeypatch):
    checkpoint = single(name)
    monkeypatch.setattr(NetworkFile, "load", lambda _: pytest.fail("made a network"))

    path = saved(checkpoint, Bench(tmp_path))

    unread = {key for key in original(name) if key.endswith("gemma2_2b.logit_scale")}
    found, expected = raw(load_file(path)), raw(original(name))
    assert {**found, **{key: expected[key] for key in unread}} == expected


@pytest.mark.parametrize("name", layouts())
def test_a_folder_becomes_the_original_file(name, folder, tmp_path):
    path = saved(opened(folder(name)), Bench(tmp_path))

    found = raw(load_file(path))
    expected = {_VAE.sub("first_stage_model.", k): t for k, t in raw(original(name)).items()}
    left_out = expected.keys() - found.keys()
    assert {key: expected[key] for key in found} == found
    last = "cond_stage_model.model.transformer.resblocks.1."
    assert all(k.endswith(_UNREAD) or (name == "sd2" and k.startswith(last)) for k in left_out)
    if name != "sd2":
        assert_same_checkpoint(opened(path), opened(folder(name)))


def test_a_file_says_how_to_read_it_and_what_made_it(single, tmp_path):
    bench = Bench(tmp_path, prompt={"1": {"inputs": {}}}, extra_pnginfo={"workflow": {"a": 1}})
    said = {"config": json.dumps({"unet": {"attention_head_dim": 4}, "other": {}})}
    checkpoint = opened(write(tmp_path / "a.safetensors", original("sd15"), said))
    model = model_sampling_discrete(ModelHandle(checkpoint.model), "v_prediction", True)

    shown = model_save(model, ctx=bench)

    path = bench.path(shown.artifacts["models"][0])
    metadata = read_header(path).metadata
    assert json.loads(metadata["workflow"]) == {"a": 1}
    assert json.loads(metadata["prompt"]) == {"1": {"inputs": {}}}
    back = opened(path).model
    assert back.network.spec.config["attention_head_dim"] == 4
    assert back.spec.noise == DiscreteRules("v", zero_terminal_snr=True)
    assert_same(denoised(ModelHandle(back)), denoised(model))
    assert len(bench.progressed) == len(read_header(path).tensors) + 1


def test_parts_are_saved_for_their_own_loaders(single, tmp_path):
    bench = Bench(tmp_path)
    checkpoint = single("sdxl")

    model_save(ModelHandle(checkpoint.model), ctx=bench)
    vae_save(VaeHandle(checkpoint.vae), ctx=bench)
    shown = clip_save(ClipHandle(checkpoint.text), ctx=bench)

    names = [artifact.filename for artifact in shown.artifacts["models"]]
    assert names == ["ComfyUI_clip_l_00001_.safetensors", "ComfyUI_clip_g_00001_.safetensors"]
    model = unet_loader("ComfyUI_00001_.safetensors", "default", bench)
    vae = vae_loader("ComfyUI_vae_00001_.safetensors", bench)
    assert_same(denoised(model), denoised(ModelHandle(checkpoint.model)))
    assert_same(decoded(vae), decoded(VaeHandle(checkpoint.vae)))
    assert set(load_file(tmp_path / "output/clip" / names[1])) >= {
        "text_model.encoder.layers.0.self_attn.q_proj.weight",
        "text_projection.weight",
    }


def test_a_lora_is_in_the_saved_weights(tmp_path):
    bench = Bench(tmp_path)
    exact = {key: tensor.float() for key, tensor in original("sdxl").items()}
    write(tmp_path / "models/checkpoints/a.safetensors", exact)
    attention = "lora_unet_middle_block_1_transformer_blocks_0_attn2_to_"
    text = "lora_te2_text_model_encoder_layers_0_self_attn_k_proj"
    write(
        tmp_path / "models/loras/a.safetensors",
        lora(1, {f"{attention}k": (128, 128), f"{attention}q": (128, 128), text: (64, 64)}),
    )
    loaded = checkpoint_loader_simple("a.safetensors", bench)
    model, clip = lora_loader(loaded.MODEL, loaded.CLIP, "a.safetensors", bench, 0.7, 0.8)

    checkpoint_save(model, clip, loaded.VAE, ctx=bench)
    back = checkpoint_loader_simple("ComfyUI_00001_.safetensors", bench)

    tensors = load_file(tmp_path / "output/checkpoints/ComfyUI_00001_.safetensors")
    differing = {key for key in exact if not torch.equal(exact[key], tensors[key])}
    middle = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_"
    block = "conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight"
    assert differing == {f"{middle}k.weight", f"{middle}q.weight", block}
    assert torch.equal(tensors[block][:64], exact[block][:64]), "the query is left alone"
    found, expected = (m.model.network.module(m.patches).state_dict() for m in (back.MODEL, model))
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert (denoised(back.MODEL) - denoised(model)).abs().max() < 1e-5
    assert not torch.allclose(denoised(model), denoised(loaded.MODEL), atol=1e-3)
    assert_same(back.CLIP.encode("a cat", NO_WORDS).tokens, clip.encode("a cat", NO_WORDS).tokens)


def test_what_can_not_be_saved_says_why(single, tmp_path):
    bench = Bench(tmp_path)
    model, clip = ModelHandle(single("sd15").model), ClipHandle(single("sdxl").text)

    with pytest.raises(UnsavableError, match="this VAE can not be saved"):
        vae_save(VaeHandle(pixel_vae()), ctx=bench)
    with pytest.raises(
        UnsavableError,
        match="clip_g can not be saved: a checkpoint of the family sd15 has no place",
    ):
        checkpoint_save(model, clip, VaeHandle(single("sd15").vae), ctx=bench)
    with pytest.raises(UnsafePathError):
        check_prefix({"filename_prefix": "../a"}, bench.files)
    assert not list((tmp_path).rglob("*.safetensors"))


def test_quantised_weights_keep_their_bits_unless_a_lora_changes_them(tmp_path):
    bench = Bench(tmp_path)
    keys = [f"double_blocks.{number}.img_attn.qkv.weight" for number in (0, 1)]
    scales = [key.replace(".weight", ".scale_weight") for key in keys]
    small = {**small_flux(), "final_layer.linear.scale_weight": torch.tensor(2.0)}
    for key, scale in zip(keys, scales, strict=True):
        small |= {key: (small[key].float() / 0.01).to(torch.float8_e4m3fn)}
        small |= {scale: torch.tensor(0.01)}
    write(tmp_path / "models/unet/a.safetensors", small)
    on_first = lora(3, {"lora_unet_double_blocks_0_img_attn_qkv": (192, 64)})
    write(tmp_path / "models/loras/a.safetensors", on_first)
    model = unet_loader("a.safetensors", "default", bench)
    changed = lora_loader_model_only(model, "a.safetensors", bench)

    model_save(model, "diffusion_models/same", ctx=bench)
    model_save(changed, "diffusion_models/changed", ctx=bench)

    folder, below = tmp_path / "output/diffusion_models", "model.diffusion_model."
    same = load_file(folder / "same_00001_.safetensors")
    other = load_file(folder / "changed_00001_.safetensors")
    assert {k: t.dtype for k, t in same.items()} == {below + k: t.dtype for k, t in small.items()}
    assert all(torch.equal(same[below + key].float(), small[key].float()) for key in small)
    assert other[below + keys[0]].dtype == torch.float16
    assert same.keys() - other.keys() == {below + scales[0]}
    reloaded = [
        unet_loader(f"{n}_00001_.safetensors", "default", bench) for n in ("same", "changed")
    ]
    assert_same(denoised(reloaded[0]), denoised(model))
    assert not torch.allclose(denoised(changed), denoised(model), atol=0.01)
    torch.testing.assert_close(denoised(reloaded[1]), denoised(changed), rtol=0.01, atol=0.01)


def test_a_folder_is_converted_on_the_command_line(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/diffusers").mkdir(parents=True)
    (tmp_path / "models/diffusers/mine").symlink_to(folder("sd15"))
    call = ["models", "convert", "mine", "out/whole.safetensors"]

    done = CliRunner().invoke(cli, call)
    again = CliRunner().invoke(cli, call)

    assert (done.exit_code, done.stdout) == (0, "out/whole.safetensors\n")
    assert raw(load_file(tmp_path / "out/whole.safetensors")) == raw(original("sd15"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["whole.safetensors"]
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    assert CliRunner().invoke(cli, [*call, "--force"]).exit_code == 0
    assert "diffusers    mine" in CliRunner().invoke(cli, ["models", "list"]).stdout
