"""Numbers that grow too large, and memory that is short: computed in another way, and said."""

import resource
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.run_environment import RunEnvironment, use_environment
from nodegraph.runtime.run_models import RunModels
from nodes.builtin.latent.vae import vae_decode, vae_decode_tiled, vae_encode
from nodes.builtin.sampling.ksampler import ksampler
from nodes.models.loading.checkpoint import Checkpoint, open_checkpoint, unload_others
from nodes.models.loading.handles import ModelHandle, VaeHandle
from nodes.sampling.guidance.errors import NotFiniteError
from nodes.values import Cond, Conditioning, Latent
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened

LARGE = 300_000.0
FIRST = {
    "decoder": "first_stage_model.decoder.conv_in.weight",
    "encoder": "first_stage_model.encoder.conv_in.weight",
    "model": "model.diffusion_model.input_blocks.0.0.weight",
}
"""Layers whose results are normed before anything else is done with them."""


def overflowing(folder: Path, part: str, factor: float = LARGE) -> Path:
    """A checkpoint whose first layer makes numbers that float16 does not have."""
    tensors = small_sd15()
    tensors[FIRST[part]] = tensors[FIRST[part]].float() * factor
    return write(folder / f"{part}{factor}.safetensors", tensors)


def checkpoint(folder: Path, part: str, factor: float = LARGE) -> Checkpoint:
    return opened(overflowing(folder, part, factor))


def half_vae(vae: VaeHandle) -> VaeHandle:
    return replace(vae, compute=torch.float16)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def latent(side: int = 4) -> Latent:
    return Latent(torch.linspace(-1, 1, 4 * side**2).reshape(1, 4, side, side))


def test_a_picture_that_float16_has_no_numbers_for_is_decoded_in_float32(tmp_path, bench):
    vae = VaeHandle(checkpoint(tmp_path, "decoder").vae)
    assert not half_vae(vae).decode(latent().samples).isfinite().all()

    picture = vae_decode(latent(), half_vae(vae), bench)

    assert torch.equal(picture, vae_decode(latent(), vae, bench))
    assert bench.notices == ["numbers of the VAE were too large for float16: computed in float32."]


def test_a_latent_that_float16_has_no_numbers_for_is_encoded_in_float32(tmp_path, bench):
    vae = VaeHandle(checkpoint(tmp_path, "encoder").vae)
    picture = torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(1))

    found = vae_encode(picture, half_vae(vae), bench)

    assert torch.equal(found.samples, vae_encode(picture, vae, bench).samples)
    assert len(bench.notices) == 1


def test_where_float16_suffices_nothing_is_said(tmp_path, bench):
    vae = half_vae(VaeHandle(checkpoint(tmp_path, "decoder", 1.0).vae))

    vae_decode(latent(), vae, bench)

    assert not bench.notices


def test_a_vae_that_even_float32_is_too_small_for_is_an_error(tmp_path, bench):
    vae = VaeHandle(checkpoint(tmp_path, "decoder", 1e38).vae)

    with pytest.raises(NotFiniteError, match="what the VAE makes of the latent"):
        vae_decode(latent(), vae, bench)


def sampled(model: ModelHandle, bench: Bench) -> Latent:
    text = Conditioning((Cond(torch.ones(1, 77, 64)),))
    return ksampler(
        model=model, seed=1, steps=2, cfg=1.0, sampler_name="euler", scheduler="normal",
        positive=text, negative=text, latent_image=latent(8), denoise=1.0, ctx=bench,
    )  # fmt: skip


def test_a_model_that_float16_has_no_numbers_for_is_asked_again_in_float32(tmp_path, bench):
    model = ModelHandle(checkpoint(tmp_path, "model").model)
    small = replace(model, compute=torch.float16)

    found = sampled(small, bench)

    assert torch.equal(found.samples, sampled(model, bench).samples)
    assert bench.notices == ["numbers of the model were too large for float16: again in float32."]


def test_a_model_is_asked_again_in_bfloat16_where_the_device_has_it(tmp_path, bench, monkeypatch):
    monkeypatch.setattr("nodes.models.loading.handles.has_bfloat16", lambda _: True)
    model = ModelHandle(checkpoint(tmp_path, "model").model)
    small, wide = (replace(model, compute=dtype) for dtype in (torch.float16, torch.bfloat16))

    found = sampled(small, bench)

    assert torch.equal(found.samples, sampled(wide, bench).samples)
    assert bench.notices == ["numbers of the model were too large for float16: again in bfloat16."]


def test_a_model_that_predicts_no_numbers_is_an_error_that_names_the_step(tmp_path, bench):
    model = ModelHandle(checkpoint(tmp_path, "model", 1e38).model)

    with pytest.raises(NotFiniteError, match=r"prediction in step 1 of 2"):
        sampled(model, bench)


def own_memory() -> int:
    """The address space of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


@pytest.mark.slow  # what fits depends on how the process's memory was used before
def test_a_picture_too_large_for_the_memory_is_decoded_in_tiles(tmp_path, bench):
    opened_file = checkpoint(tmp_path, "decoder", 1.0)
    vae, model = VaeHandle(opened_file.vae), opened_file.model.network
    large = Latent(torch.rand(1, 4, 64, 64, generator=torch.Generator().manual_seed(2)))
    vae.decode(latent().samples)
    model.module()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (own_memory() + 100 * 2**20, hard))

    try:
        picture = vae_decode(large, vae, bench)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

    assert bench.notices[0] == "out of memory: trying again without the other models."
    size = int(bench.notices[-1].split()[-2])
    tiles = vae_decode_tiled(large, vae, Bench(tmp_path), tile_size=size, overlap=size // 8)
    torch.testing.assert_close(picture, tiles, rtol=0, atol=1e-4)


def test_unloading_spares_what_is_needed(tmp_path):
    models = ModelPool()
    path = write(tmp_path / "a.safetensors", small_sd15(seed=77))
    opened_file = open_checkpoint(path, "a", models)
    kept, other = opened_file.vae.network, opened_file.model.network
    before = kept.module(), other.module()

    freed = unload_others(models, kept)

    assert freed
    assert kept.module() is before[0]
    assert other.module() is not before[1]
    state, again = before[1].state_dict(), other.module().state_dict()
    assert all(torch.equal(state[key], again[key]) for key in state)


def test_a_lack_of_memory_throws_out_nothing_that_another_run_uses(tmp_path):
    models = ModelPool(2**30)
    path = write(tmp_path / "a.safetensors", small_sd15(seed=78))
    opened_file = open_checkpoint(path, "a", models)
    networks = [opened_file.vae.network, opened_file.model.network]
    networks.append(opened_file.text.encoders[0].network)
    kept, own, foreign = networks
    this_run, other_run = RunModels(models, None), RunModels(models, None)
    with use_environment(RunEnvironment(models=other_run)):
        used = foreign.module()

    with use_environment(RunEnvironment(models=this_run)):
        before = kept.module(), own.module()
        freed = unload_others(models, kept)
        again = unload_others(models, kept)

    assert freed
    assert not again
    assert kept.module() is before[0]
    assert own.module() is not before[1]
    assert foreign.module() is used
    other_run.end()
    with use_environment(RunEnvironment(models=this_run)):
        assert unload_others(models, kept)
    assert foreign.module() is not used
