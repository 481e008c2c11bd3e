"""VAEs on a device with little memory: tiles of a size that fits are chosen before it fails."""

import pytest
import torch
from torch import Tensor

from nodegraph.execution.weights_budget import AcceleratorMemory
from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.run_environment import RunEnvironment, use_environment
from nodegraph.runtime.run_models import RunModels
from nodes.builtin.latent.vae import vae_decode, vae_decode_tiled, vae_encode, vae_encode_tiled
from nodes.inference.vae_tiles import VaeCall
from nodes.models.loading.handles import VaeHandle
from nodes.values import Latent
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid, picture
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened

SIDE = 256
MARGIN = 1 << 20
LATENT = grid((2, 4, SIDE // 8, SIDE // 8), 0.2)
PICTURES = picture(1, SIDE, SIDE)


@pytest.fixture
def checkpoint(simulated, tmp_path):
    return opened(write(tmp_path / "a.safetensors", small_sd15()))


@pytest.fixture
def vae(checkpoint):
    return VaeHandle(checkpoint.vae)


@pytest.fixture
def bench(tmp_path):
    """A bench whose pool plans with all that the device has."""
    return Bench(tmp_path, models=ModelPool(1 << 40, AcceleratorMemory(reserve=0)))


def run(bench: Bench, compute) -> Tensor:
    """What a run makes."""
    models = RunModels(bench.models, None)
    with use_environment(RunEnvironment(models=models)):
        made = compute()
    models.end()
    return (made.samples if isinstance(made, Latent) else made).cpu()


def told_size(bench: Bench) -> int | None:
    """The size of the tiles that were chosen."""
    assert all("at once takes" in notice for notice in bench.notices)
    return int(bench.notices[0].split()[-2]) if bench.notices else None


@pytest.mark.parametrize("part", [1.1, pytest.param(0.6, marks=pytest.mark.slow)])
def test_what_does_not_fit_is_decoded_in_tiles_without_an_attempt(
    simulated, vae, tmp_path, bench, part
):
    network, call = vae.vae.network, VaeCall(vae, "decode")
    expected = run(bench, lambda: vae_decode(Latent(LATENT), vae, bench))
    room = 2 * expected.nbytes + int(part * call.peak_bytes(LATENT))
    live = simulated.live_bytes() - network.held_bytes
    simulated.set_budget(live + network.least_bytes + room)
    simulated.reset()

    image = run(bench, lambda: vae_decode(Latent(LATENT), vae, bench))

    size = told_size(bench)
    assert simulated.counters().refusals == 0
    assert (size is None) == (part > 1)
    assert len(bench.notices) <= 1
    if size is not None:
        simulated.set_budget()
        latent, other = Latent(LATENT), Bench(tmp_path)
        expected = vae_decode_tiled(latent, vae, other, tile_size=size, overlap=size // 8).cpu()
    assert torch.equal(image, expected)


def test_so_it_is_with_pictures_to_encode(simulated, vae, tmp_path, bench):
    run(bench, lambda: vae_encode(PICTURES, vae, bench))
    whole = VaeCall(vae, "encode").peak_bytes(PICTURES.movedim(-1, 1))
    live = simulated.live_bytes() - vae.vae.network.held_bytes
    simulated.set_budget(live + vae.vae.network.least_bytes + int(0.7 * whole))
    simulated.reset()

    sample = run(bench, lambda: vae_encode(PICTURES, vae, bench))

    size = told_size(bench)
    assert simulated.counters().refusals == 0
    assert size is not None
    simulated.set_budget()
    tiled = vae_encode_tiled(PICTURES, vae, Bench(tmp_path), tile_size=size, overlap=size // 8)
    torch.testing.assert_close(sample, tiled.samples.cpu())


def test_other_models_leave_before_there_are_tiles(simulated, checkpoint, vae, bench):
    other, x = checkpoint.model.network, LATENT[:1]
    run(bench, other.module)
    run(bench, lambda: vae_decode(Latent(x), vae, bench))
    held, call = other.held_bytes, VaeCall(vae, "decode")
    assert held > 0
    room = call.peak_bytes(x) + 2 * call.result_bytes(x) - held // 2
    simulated.set_budget(simulated.live_bytes() + room)
    simulated.reset()

    run(bench, lambda: vae_decode(Latent(x), vae, bench))

    assert bench.notices == []
    assert other.held_bytes < held
    assert simulated.counters().refusals == 0


def test_what_was_not_foreseen_is_tried_again_in_tiles(
    simulated, vae, tmp_path, bench, monkeypatch
):
    run(bench, lambda: vae_decode(Latent(LATENT[:1]), vae, bench))
    least = VaeCall(vae, "decode").peak_bytes(LATENT, 128)
    monkeypatch.setattr("nodes.inference.vae_tiles.vae_peak", lambda *_: 0)
    simulated.set_budget(simulated.live_bytes() + least + MARGIN)

    image = run(bench, lambda: vae_decode(Latent(LATENT[:1]), vae, bench))

    assert bench.notices[0] == "out of memory: trying again without the other models."
    size = int(bench.notices[-1].split()[-2])
    simulated.set_budget()
    latent, other = Latent(LATENT[:1]), Bench(tmp_path)
    tiles = vae_decode_tiled(latent, vae, other, tile_size=size, overlap=size // 8)
    assert torch.equal(image, tiles.cpu())
