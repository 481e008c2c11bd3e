"""Every layout gives the same model: one file, a diffusers folder, shards, files of one part."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from nodegraph.files.identity import Identities
from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.model.checkpoints import (
    checkpoint_loader,
    checkpoint_loader_simple,
    diffusers_loader,
    unet_loader,
    vae_loader,
)
from nodes.builtin.model.save import model_save
from nodes.cli.listing import ModelFile
from nodes.cli.verify import verify_files
from nodes.models.families.base.spec import DiscreteRules, EdmRules
from nodes.models.families.base.text_encoders import clip_config, read_encoder
from nodes.models.families.denoisers.unets.sd15 import SD15, TEXT_PREFIX
from nodes.models.families.diffusers_layout import read_model
from nodes.models.families.errors import BadConfigError, UnknownFamilyError
from nodes.models.loading.checkpoint import open_vae
from nodes.models.loading.handles import ModelHandle, VaeHandle
from nodes.models.loading.network import Network
from nodes.models.loading.network_file import NetworkFile
from nodes.models.patches.lora import lora_patch
from nodes.models.patches.lora_file import LoraFile
from nodes.models.weights.errors import BadMetadataError, MissingShardError, NoFolderWeightsError
from nodes.models.weights.sharded import read_weights
from nodes.preflight.models import configured_checkpoint as configured
from nodes.preflight.models import diffusers_folder as preflight
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import lora, write
from tests.tiny_models.compare import assert_same, assert_same_checkpoint, decoded, denoised
from tests.tiny_models.folders import layouts, original, write_folder
from tests.tiny_models.handles import opened


@pytest.mark.parametrize("name", layouts("qwen_image"))  # its text encoder is large
def test_a_diffusers_folder_gives_what_the_single_file_does(name, single, folder):
    found = opened(folder(name))

    assert found.architecture.model.noise == single(name).architecture.model.noise
    assert_same_checkpoint(found, single(name))


@pytest.mark.parametrize(
    "name", ["sd15", pytest.param("sdxl", marks=pytest.mark.slow), "sd3", "flux"]
)
def test_shards_and_variants_give_the_same(name, single, tmp_path):
    sharded = write_folder(tmp_path / "a", name, single(name), max_shard_size="400KB")
    variant = write_folder(tmp_path / "b", name, single(name), variant="fp16")

    assert len(list(sharded.glob("*/diffusion_pytorch_model-00001-of-*"))) > 1
    assert list(variant.glob("vae/diffusion_pytorch_model.fp16.safetensors"))
    assert_same_checkpoint(opened(sharded), single(name))
    assert_same_checkpoint(opened(variant), single(name))


@pytest.mark.parametrize("name", layouts(without="anima"))  # a module of it has its own folder
def test_a_file_of_one_part_may_have_diffusers_names(name, single, folder, tmp_path):
    place = next(p for p in (folder(name) / "unet", folder(name) / "transformer") if p.is_dir())
    bench = Bench(tmp_path)
    models = tmp_path / "models"
    link(place / "diffusion_pytorch_model.safetensors", models / "unet/a.safetensors")
    link(folder(name) / "vae/diffusion_pytorch_model.safetensors", models / "vae/a.safetensors")

    model = unet_loader("a.safetensors", "default", bench)
    vae = vae_loader("a.safetensors", bench)

    assert_same(denoised(model), denoised(ModelHandle(single(name).model)))
    assert_same(decoded(vae), decoded(VaeHandle(single(name).vae)))


def link(source, target):
    target.parent.mkdir(parents=True)
    target.symlink_to(source)


def test_the_loaders_open_folders_and_shards_lazily(folder, single, tmp_path, monkeypatch):
    bench = Bench(tmp_path)
    link(folder("sd15"), tmp_path / "models/diffusers/sub/sd15")
    tensors = original("sd15")
    halves = [dict(list(tensors.items())[at::2]) for at in (0, 1)]
    for number, half in enumerate(halves, 1):
        write(tmp_path / f"models/checkpoints/whole-0000{number}-of-00002.safetensors", half)
    write_index(tmp_path / "models/checkpoints/whole.safetensors.index.json")
    monkeypatch.setattr(NetworkFile, "load", lambda _: pytest.fail("read the weights"))

    preflight({"model_path": "sub/sd15"}, bench.files)
    loaded = diffusers_loader("sub/sd15", bench)
    indexed = checkpoint_loader_simple("whole.safetensors.index.json", bench)
    shard = checkpoint_loader_simple("whole-00002-of-00002.safetensors", bench)

    assert "sub/sd15" in bench.files.model_names("diffusers")
    assert "whole.safetensors.index.json" in bench.files.model_names("checkpoints")
    monkeypatch.undo()
    plain = ModelHandle(single("sd15").model)
    assert loaded.MODEL.weight_bytes == shard.MODEL.weight_bytes == plain.weight_bytes
    assert_same(denoised(loaded.MODEL), denoised(plain))
    assert_same(denoised(shard.MODEL), denoised(plain))
    assert shard == indexed, "whichever of them is named"


def write_index(path):
    path.write_text(json.dumps({"weight_map": {}}))


def test_the_identity_of_a_shard_is_that_of_all(tmp_path):
    names = [f"a-0000{number}-of-00002.safetensors" for number in (1, 2)]
    paths = [tmp_path / name for name in names]
    for path in paths:
        path.write_bytes(b"1")
    before = Identities().sha256(paths[0])

    paths[1].write_bytes(b"2")

    assert Identities().sha256(paths[0]) not in (before, Identities().rehash(paths[0]))
    assert Identities().sha256(paths[0]) == Identities().sha256(paths[1])


def test_a_missing_shard_is_named(tmp_path):
    path = write(tmp_path / "a-00001-of-00002.safetensors", {"x": torch.ones(1)})

    with pytest.raises(MissingShardError, match="missing: a-00002-of-00002"):
        read_model(path)


def test_an_index_names_its_files_if_none_is_there(tmp_path):
    index = tmp_path / "a.safetensors.index.json"
    places = {"x": "old-00001-of-00002.safetensors", "y": "../b.safetensors"}
    index.write_text(json.dumps({"weight_map": places}))

    with pytest.raises(MissingShardError, match=r"are missing: old-00001-of-00002.safetensors\."):
        read_model(index)
    model = ModelFile("checkpoints", index.name, index)
    (verdict,) = verify_files(model, Bench(tmp_path).files, ask=False)
    assert "old-00001" in verdict.damage

    write(tmp_path / places["x"], {"x": torch.ones(1)})
    assert "x" in read_weights(index)


def test_a_lora_in_the_original_names_changes_a_folder_too(single, folder):
    width = 64
    key = "lora_unet_double_blocks_0_img_attn_qkv"
    path = folder("flux").parent / "lora.safetensors"
    write(path, lora(3, {key: (3 * width, width)}))
    file = LoraFile(path, "lora")

    models = [ModelHandle(c.model) for c in (opened(folder("flux")), single("flux"))]
    changed = [m.with_patch(lora_patch(file, 1.0, m.model.network)) for m in models]

    assert_same(denoised(changed[0]), denoised(changed[1]))
    assert not torch.equal(denoised(changed[0]), denoised(models[0]))


def test_the_scheduler_says_what_the_network_predicts(folder, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for item in folder("sd15").iterdir():
        (copy / item.name).symlink_to(item)
    (copy / "scheduler").mkdir()
    config = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    (copy / "scheduler/scheduler_config.json").write_text(json.dumps(config))

    assert opened(copy).model.spec.noise == DiscreteRules("v", zero_terminal_snr=True)
    (copy / "scheduler/scheduler_config.json").write_text("[")
    with pytest.raises(BadMetadataError, match=r"scheduler_config\.json is not JSON"):
        opened(copy)


def test_a_configuration_counts_where_shapes_say_nothing(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder("sd15"), copy)
    config = json.loads((copy / "unet/config.json").read_text())
    (copy / "unet/config.json").write_text(json.dumps(config | {"attention_head_dim": 4}))

    assert opened(copy).model.network.spec.config["attention_head_dim"] == 4
    assert opened(folder("sd15")).model.network.spec.config["attention_head_dim"] == 8


def test_former_names_are_read(single, folder, tmp_path):
    former = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = load_file(folder("sd15") / "vae/diffusion_pytorch_model.safetensors")
    for new, old in former.items():
        tensors = {key.replace(f".{new}.", f".{old}."): t for key, t in tensors.items()}
    vae = VaeHandle(open_vae(write(tmp_path / "a.safetensors", tensors), "former", ModelPool()))

    assert_same(decoded(vae), decoded(VaeHandle(single("sd15").vae)))


def test_a_text_encoder_may_have_the_names_of_transformers_5(folder, tmp_path):
    tensors = load_file(folder("sd15") / "text_encoder/model.safetensors")
    new = {key.removeprefix("text_model."): tensor for key, tensor in tensors.items()}

    found = read_model(write(tmp_path / "a.safetensors", new))

    assert clip_config(found, "") == clip_config(read_model(folder("sd15")), TEXT_PREFIX)


def test_what_is_wrong_with_a_folder_is_said(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder("sd15"), copy)
    (copy / "vae/diffusion_pytorch_model.safetensors").rename(copy / "vae/model.bin")
    strange = tmp_path / "strange"
    write(strange / "unet/model.safetensors", {"x": torch.ones(1)})
    (strange / "model_index.json").write_text("{}")

    with pytest.raises(NoFolderWeightsError, match="no safetensors file in 'vae'"):
        opened(copy)
    with pytest.raises(UnknownFamilyError, match="1, such as x"):
        opened(strange)


def test_a_configuration_of_the_original_code_says_what_is_predicted(tmp_path, single):
    bench = Bench(tmp_path)
    link(single("sd15").model.network.header.path, tmp_path / "models/checkpoints/a.safetensors")
    configs = tmp_path / "models/configs"
    configs.mkdir()
    said = {"v": "parameterization: v", "eps": "parameterization: eps", "x": "parameterization: x0"}
    for name, line in {**said, "silent": "a: 1"}.items():
        (configs / f"{name}.yaml").write_text(f"model:\n  params:\n    {line}\n")
    (configs / "broken.yaml").write_text("[")

    def prediction(name):
        model = checkpoint_loader(f"{name}.yaml", "a.safetensors", bench).MODEL
        return getattr(model.parameterization, "prediction", None)

    assert [prediction(name) for name in ("v", "eps", "silent")] == ["v", "eps", "eps"]
    with pytest.raises(BadConfigError, match="parameterization is 'x0'"):
        prediction("x")
    with pytest.raises(BadConfigError, match="it is not YAML"):
        configured({"config_name": "broken.yaml", "ckpt_name": "a.safetensors"}, bench.files)


def test_playground_has_levels_and_latents_of_its_own_in_a_folder(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder("sdxl"), copy)
    (copy / "scheduler").mkdir()
    scheduler = {"_class_name": "EDMDPMSolverMultistepScheduler", "prediction_type": "epsilon"}
    (copy / "scheduler/scheduler_config.json").write_text(json.dumps(scheduler))
    config = json.loads((copy / "vae/config.json").read_text())
    statistics = {"latents_mean": [1.0, 2.0, 3.0, 4.0], "latents_std": [0.5, 1.0, 2.0, 4.0]}
    (copy / "vae/config.json").write_text(json.dumps(config | statistics))
    tensors = original("sdxl") | {
        "edm_mean": torch.tensor(statistics["latents_mean"]),
        "edm_std": torch.tensor(statistics["latents_std"]),
    }

    found = opened(copy)
    expected = opened(write(tmp_path / "a.safetensors", tensors))
    bench = Bench(tmp_path)
    model_save(ModelHandle(found.model), ctx=bench)
    saved = opened(tmp_path / "output/diffusion_models/ComfyUI_00001_.safetensors")

    for checkpoint in (found, saved):
        assert checkpoint.model.spec.noise == expected.model.spec.noise == EdmRules()
        assert checkpoint.model.spec.latent == expected.model.spec.latent


def test_a_text_encoder_alone_is_counted_once(folder, tmp_path):
    tensors = load_file(folder("sd15") / "text_encoder/model.safetensors")
    new = {key.removeprefix("text_model."): t for key, t in tensors.items()}
    del new["embeddings.position_ids"]
    path = write(tmp_path / "a.safetensors", new)
    spec = read_encoder(read_model(path), "", "clip_l", SD15.encoder_sets[0].policies["clip_l"])

    network = Network(read_model(path), "a", spec.network)

    assert network.nbytes() == sum(tensor.numel() * 4 for tensor in new.values())
    assert network.module()
