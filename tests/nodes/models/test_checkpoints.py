"""Handles on a checkpoint's parts: cheap, equal by content, loaded once on first use."""

import json
import threading
from io import BytesIO

import pytest
import torch
from PIL import Image

from nodegraph.errors import RunCancelledError, UnknownFileError
from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.run_environment import RunEnvironment, use_environment
from nodes.builtin.model.checkpoints import checkpoint_loader_simple
from nodes.builtin.sampling.model_sampling import model_sampling_discrete
from nodes.inference.previews import by_matrix, latent_rgb, preview
from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.families.errors import UnknownFamilyError
from nodes.models.loading.checkpoint import open_checkpoint
from nodes.models.loading.errors import MissingPartError
from nodes.models.loading.forward import denoise
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.models.loading.network import Network
from nodes.models.loading.network_file import NetworkFile
from nodes.models.text.textual_inversion import Embeddings
from nodes.models.weights.errors import PickleRefusedError
from nodes.preflight.models import checkpoint as preflight
from nodes.preflight.models import lora as lora_preflight
from nodes.sampling.noise_schedule.parameterization import Discrete
from nodes.values import CondBatch
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened

PARTS = {"unet": "model.diffusion_model.", "vae": "first_stage_model.", "text": "cond_stage"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    write(folder / "models" / "checkpoints" / "small.safetensors", small_sd15())
    return folder


@pytest.fixture(scope="module")
def small(root):
    return opened(root / "models" / "checkpoints" / "small.safetensors")


def denoised(model, rows=2):
    x = torch.linspace(-1, 1, 4 * 8 * 8).reshape(1, 4, 8, 8).expand(rows, -1, -1, -1)
    sigma = torch.tensor([2.0, 0.5])[:rows]
    return denoise(model, x, sigma, CondBatch(torch.ones(rows, 77, 64)))


def test_loading_reads_no_weights(root, monkeypatch):
    monkeypatch.setattr(NetworkFile, "load", lambda _: pytest.fail("read the weights"))

    loaded = checkpoint_loader_simple("small.safetensors", Bench(root))

    numbers = {
        part: sum(v.numel() for k, v in small_sd15().items() if k.startswith(prefix))
        for part, prefix in PARTS.items()
    }
    assert loaded.MODEL.weight_bytes == numbers["unet"] * 4
    assert loaded.CLIP.weight_bytes == numbers["text"] * 4
    assert loaded.VAE.weight_bytes == numbers["vae"] * 4


def test_loading_twice_gives_equal_handles_on_the_same_weights(root):
    bench = Bench(root)
    first, second = (checkpoint_loader_simple("small.safetensors", bench) for _ in range(2))

    assert first == second
    assert first.MODEL.model.network is second.MODEL.model.network


def test_weights_go_when_the_last_handle_does(root):
    pool = ModelPool()
    path = root / "models" / "checkpoints" / "small.safetensors"
    first, second = (open_checkpoint(path, "a", pool) for _ in range(2))

    assert first.vae.network is second.vae.network
    assert len(pool) == 3
    del first, second
    assert len(pool) == 0


def test_threads_that_come_together_load_once(small, monkeypatch):
    found = small.model.network
    network = Network(found.header, "", found.spec)
    loads = []
    load = NetworkFile.load
    monkeypatch.setattr(NetworkFile, "load", lambda *own: loads.append(1) or load(*own))
    found = []

    threads = [threading.Thread(target=lambda: found.append(network.module())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(loads) == 1
    assert {id(module) for module in found} == {id(network.module())}


def test_a_sample_does_not_depend_on_its_neighbours(small):
    model = ModelHandle(small.model)

    together = denoised(model)

    torch.testing.assert_close(denoised(model, rows=1), together[:1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together[0], together[1])


def test_a_checkpoint_without_a_part_says_which(tmp_path):
    tensors = {k: v for k, v in small_sd15().items() if k.startswith(PARTS["unet"])}
    checkpoint = opened(write(tmp_path / "bare.safetensors", tensors))

    denoised(ModelHandle(checkpoint.model))
    with pytest.raises(MissingPartError, match="holds no text encoder"):
        ClipHandle(checkpoint.text).encode("", Embeddings(None, print))
    with pytest.raises(MissingPartError, match="holds no VAE"):
        VaeHandle(checkpoint.vae).decode(torch.zeros(1, 4, 2, 2))
    assert VaeHandle(checkpoint.vae).weight_bytes == ClipHandle(checkpoint.text).weight_bytes == 0


def test_a_checkpoint_can_bring_its_own_tokenizer_and_prediction(tmp_path):
    vocabulary = {"a</w>": 5, "b</w>": 6, "<|startoftext|>": 49406, "<|endoftext|>": 49407}
    said = {
        "modelspec.prediction_type": "v",
        "tokenizer.vocab": json.dumps(vocabulary),
        "tokenizer.merges": "#version: 0.2\n",
    }
    checkpoint = opened(write(tmp_path / "own.safetensors", small_sd15(), said))

    assert checkpoint.text.encoders[0].tokenizer.encode("b A") == [6, 5]
    assert isinstance(checkpoint.model.parameterization, Discrete)
    assert checkpoint.model.parameterization.prediction == "v"


def test_v_prediction_can_be_said_by_a_node(small, root):
    model = ModelHandle(small.model)

    same = model_sampling_discrete(model, "eps", zsnr=False)
    changed = model_sampling_discrete(model, "v_prediction", zsnr=True)

    assert torch.equal(denoised(same), denoised(model))
    assert not torch.equal(denoised(changed), denoised(model))
    assert changed.parameterization.sigma_max == pytest.approx(4518.76, rel=1e-4)
    assert model.parameterization.sigma_max == pytest.approx(14.6146, rel=1e-4)
    assert changed == model_sampling_discrete(model, "v_prediction", zsnr=True)


def test_an_x0_models_output_is_the_latent(small):
    model = ModelHandle(small.model)
    x0 = model_sampling_discrete(model, "x0", zsnr=False).parameterization
    x = torch.ones(1, 4, 2, 2)

    assert torch.equal(x0.to_x0(x, torch.tensor([2.0]), x * 3), x * 3)


def test_a_consistency_model_has_fifty_levels(small):
    lcm = model_sampling_discrete(ModelHandle(small.model), "lcm", zsnr=False).parameterization
    plain = small.model.parameterization
    x = torch.ones(1, 4, 2, 2)

    assert len(lcm.sigmas) == 50
    assert lcm.sigma_max == plain.sigma_max
    assert torch.equal(lcm.timestep(lcm.sigmas), plain.timestep(lcm.sigmas))
    torch.testing.assert_close(lcm.sigma(lcm.timestep(lcm.sigmas)), lcm.sigmas)
    top = lcm.sigmas[-1:]
    torch.testing.assert_close(lcm.to_x0(x, top, x * 0.1), x - 0.1 * top, rtol=1e-3, atol=1e-3)


def test_a_preview_is_a_small_jpeg(small):
    model = ModelHandle(small.model)
    data, mime = preview(model, torch.zeros(2, 4, 8, 12), by_matrix(model))

    picture = Image.open(BytesIO(data))
    assert mime == "image/jpeg"
    assert (picture.format, picture.size) == ("JPEG", (96, 64))
    assert picture.getpixel((5, 5)) == (128, 128, 128)


def test_a_previews_colours_are_a_matrix_product():
    x0 = torch.tensor([1.0, 0.5]).reshape(1, 2, 1, 1)
    rgb = ((0.5, 0.0, -9.0), (0.0, 1.0, 0.0), (0.0, -0.5, 0.0))

    assert latent_rgb(x0, rgb).tolist() == [[[[0.75, 0.5, 0.0]]]]
    assert latent_rgb(x0, ()).tolist() == [[[[0.875, 0.875, 0.875]]]]


def test_preflight_finds_what_is_wrong_with_a_file(tmp_path):
    bench = Bench(tmp_path)
    folder = tmp_path / "models" / "checkpoints"
    write(folder / "lora.safetensors", {"lora_unet_x.lora_up.weight": torch.zeros(1)})
    (folder / "old.ckpt").write_bytes(b"PK\x03\x04" + bytes(50))
    (tmp_path / "models" / "loras").mkdir()
    (tmp_path / "models" / "loras" / "old.pt").write_bytes(b"\x80\x02" + bytes(50))

    with pytest.raises(UnknownFamilyError):
        preflight({"ckpt_name": "lora.safetensors"}, bench.files)
    with pytest.raises(PickleRefusedError):
        preflight({"ckpt_name": "old.ckpt"}, bench.files)
    with pytest.raises(UnknownFileError):
        preflight({"ckpt_name": "none.safetensors"}, bench.files)
    with pytest.raises(PickleRefusedError):
        lora_preflight({"lora_name": "old.pt"}, bench.files)
    preflight({}, bench.files)


def test_a_lora_without_a_single_patch_is_refused_before_the_run(tmp_path):
    bench = Bench(tmp_path)
    write(bench.root / "models/loras/foreign.safetensors", {"x.weight": torch.zeros(2)})

    with pytest.raises(UnrecognisedFileError, match="holds no LoRA"):
        lora_preflight({"lora_name": "foreign.safetensors"}, bench.files)


def test_loading_stops_at_the_next_weight_and_can_begin_again(tmp_path):
    path = write(tmp_path / "a.safetensors", small_sd15())
    network = open_checkpoint(path, "a", ModelPool()).model.network
    left = iter(range(5))

    def check():
        if next(left, None) is None:
            raise RunCancelledError

    with use_environment(RunEnvironment(check_cancelled=check)), pytest.raises(RunCancelledError):
        network.module()

    assert not network.unload()
    assert next(left, None) is None
    assert len(network.module().state_dict()) > 5
