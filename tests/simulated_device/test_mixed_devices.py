"""Tensors that a pack left on the device, together with those of nodes, which are on the CPU."""

import pytest
import torch
from torch import Tensor

from nodes.builtin.latent.vae import vae_decode_tiled, vae_encode_for_inpaint
from nodes.comfy.values.convert import from_pack
from nodes.comfy.values.models import PackModel
from nodes.imaging.tiling import compute_tiled, tilings
from nodes.models.loading.handles import VaeHandle
from nodes.sampling.guidance.loop import Request, noise_for, sample
from nodes.sampling.guidance.rules import GuidanceInputs
from nodes.sampling.samplers.registry import sigmas_for
from nodes.values import Cond, Conditioning, Latent
from tests.nodes.bench import Bench
from tests.nodes.closed_form import ClosedForm
from tests.nodes.pictures import grid, picture
from tests.nodes.reference import MODELS
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened
from tests.tiny_models.samplable import samplable

CPU = torch.device("cpu")
MODEL = next(iter(MODELS.values()))


def cond(value: float, device: torch.device) -> Cond:
    tokens = torch.full((1, 1, 1), value, device=device)
    return Cond(tokens, torch.full((1, 2), value, device=device))


def sampled(*devices: torch.device) -> Tensor:
    """What comes of two conditions and a negative one, on these devices."""
    first, second, third = (
        cond(value, device) for value, device in zip((0.5, -0.8, -0.3), devices, strict=True)
    )
    latent = Latent(torch.zeros(1, 4, 16, 16))
    request = Request(
        denoiser=ClosedForm(MODEL),
        sampler="euler",
        sigmas=sigmas_for(MODEL, "normal", "euler", 3, 1.0),
        positive=Conditioning((first, second)),
        negative=Conditioning((third,)),
        cfg=5.0,
        seed=1,
    )
    return sample(request, latent, noise_for(latent, 1))


def test_conditions_of_two_devices_share_a_model_call(simulated):
    card = simulated.device

    expected = sampled(CPU, CPU, CPU)

    for devices in ((card, CPU, CPU), (CPU, card, CPU), (CPU, CPU, card), (card, card, card)):
        assert torch.equal(sampled(*devices), expected)


def test_tiles_are_blended_where_they_are(simulated):
    image, plans = grid((1, 3, 24, 40), 0.3), tilings(16, 4, 1.0)
    expected = compute_tiled(lambda tile: tile * 2 + 1, image, plans)

    found = compute_tiled(lambda tile: tile * 2 + 1, image.to(simulated.device), plans)

    assert found.device == simulated.device
    torch.testing.assert_close(found.cpu(), expected)


@pytest.fixture
def vae(simulated, tmp_path):
    return VaeHandle(opened(write(tmp_path / "small.safetensors", small_sd15())).vae)


def test_the_vae_takes_what_is_on_the_device(simulated, vae, tmp_path):
    bench, card = Bench(tmp_path), simulated.device
    pixels, mask, latent = picture(1, 48, 64), torch.ones(1, 48, 64), grid((1, 4, 24, 24), 0.2)
    expected = vae_encode_for_inpaint(pixels, vae, mask, bench).samples
    image = vae_decode_tiled(Latent(latent), vae, bench, tile_size=64, overlap=16)

    for there, masked in ((card, CPU), (CPU, card), (card, card)):
        found = vae_encode_for_inpaint(pixels.to(there), vae, mask.to(masked), bench).samples
        torch.testing.assert_close(found, expected)
    found = vae_decode_tiled(Latent(latent.to(card)), vae, bench, tile_size=64, overlap=16)
    torch.testing.assert_close(found, image)


def test_packs_guide_on_the_device_that_they_are_told(simulated, tmp_path):
    """Their functions get every tensor where `load_device` says; the result comes back."""
    model, seen = PackModel(samplable(tmp_path).model), set[str]()

    def guide(arguments):
        found = [value for value in arguments.values() if isinstance(value, Tensor)]
        seen.update(value.device.type for value in found)
        level = model.model.model_sampling.timestep(arguments["sigma"])
        assert level.device == arguments["sigma"].device
        return arguments["cond"] + torch.zeros(1, device=model.load_device)

    model.set_model_sampler_cfg_function(guide)
    model.set_model_sampler_post_cfg_function(
        lambda arguments: guide(arguments | {"cond": arguments["denoised"]})
    )
    x, cond, uncond = grid((3, 1, 4, 8, 8), 0.1)
    inputs = GuidanceInputs(x, torch.tensor([2.0]), cond, uncond, torch.tensor([3.0]))

    found = model.to_handle().guidance.combine(inputs)

    assert model.load_device.type == "simulated"
    assert seen == {"simulated"}
    assert found.device == CPU
    torch.testing.assert_close(found, cond)


def devices(value: object) -> set[str]:
    """The devices of all tensors in a result."""
    if isinstance(value, Tensor):
        return {value.device.type}
    if isinstance(value, Latent):
        return devices([value.samples, value.noise_mask, value.extras])
    if isinstance(value, Conditioning):
        return devices([[c.tokens, c.pooled, c.mask, c.extras] for c in value.conds])
    if isinstance(value, dict):
        return devices(list(value.values()))
    found = [devices(item) for item in value] if isinstance(value, list | tuple) else []
    return set().union(*found)


def test_results_of_packs_come_to_the_cpu(simulated):
    there = torch.ones(1, 4, 8, 8, device=simulated.device)
    text = torch.ones(1, 7, 16, device=simulated.device)
    results = {
        "IMAGE": there,
        "LATENT": {"samples": there, "noise_mask": there[:, :1], "mine": [there]},
        "CONDITIONING": [[text, {"pooled_output": text[:, 0], "mask": there[0], "mine": there}]],
        "MINE": (there, {"deep": [there, 1]}),
    }

    assert {name: devices(from_pack(value, name)) for name, value in results.items()} == {
        name: {"cpu"} for name in results
    }


def test_results_on_the_cpu_are_not_copied():
    value = {"deep": [torch.ones(2), ("a", 1)]}

    assert from_pack(value, "MINE") is value
