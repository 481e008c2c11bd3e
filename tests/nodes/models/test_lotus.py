"""Lotus gives what its network does in one call: the latent in, that of the answer out."""

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from nodes.builtin.conditioning.files import lotus_conditioning
from nodes.builtin.model.checkpoints import unet_loader
from nodes.builtin.sampling.custom import disable_noise, sampler_custom_advanced
from nodes.builtin.sampling.guiders import basic_guider
from nodes.builtin.sampling.samplers import ksampler_select
from nodes.builtin.sampling.schedulers import basic_scheduler
from nodes.builtin.sampling.sigmas import set_first_sigma
from nodes.models.families.errors import UnknownFamilyError
from nodes.models.families.registry import architecture_of
from nodes.models.weights.header import read_header
from nodes.values import Latent
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import assert_close
from tests.tiny_models.checkpoints import small_lotus, write

pytestmark = pytest.mark.usefixtures("one_thread")

SCALE = 0.18215
TASK = torch.tensor([[1.0, 0.0]])


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def path(bench):
    return write(bench.root / "models/diffusion_models/lotus.safetensors", small_lotus())


@pytest.fixture(scope="module")
def network(bench, path):
    """Diffusers' own U-Net with the file's weights, in float32."""
    ours = unet_loader(path.name, "default", ctx=bench).model.network
    theirs = UNet2DConditionModel(**ours.spec.config).eval()
    theirs.load_state_dict(ours.module().state_dict())
    return theirs


@pytest.fixture(scope="module")
def published(bench, network):
    """The same file in diffusers' names, as it is published."""
    tensors = {key: tensor.half() for key, tensor in network.state_dict().items()}
    return write(bench.root / "models/diffusion_models/published.safetensors", tensors)


def answered(bench, name, latent):
    """The nodes of ComfyUI's template for it."""
    model = unet_loader(name, "default", ctx=bench)
    sigmas = set_first_sigma(basic_scheduler(model, "normal", 1, 1.0), 999.0000000000002)
    return sampler_custom_advanced(
        noise=disable_noise(),
        guider=basic_guider(model, lotus_conditioning()),
        sampler=ksampler_select("euler"),
        sigmas=sigmas,
        latent_image=Latent(latent),
        ctx=bench,
    )[0].samples


@pytest.mark.parametrize("layout", ["path", "published"])
def test_a_step_is_one_call_of_the_network_at_its_last_timestep(bench, network, layout, request):
    name = request.getfixturevalue(layout).name
    latent = torch.randn(2, 4, 8, 6, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        (expected,) = network(
            latent * SCALE,
            torch.tensor(999),
            lotus_conditioning().conds[0].tokens.expand(2, -1, -1),
            class_labels=torch.cat([TASK.sin(), TASK.cos()], 1).expand(2, -1),
            return_dict=False,
        )

    assert_close(answered(bench, name, latent), expected / SCALE)


def test_the_prompt_is_two_tokens_of_full_width():
    (cond,) = lotus_conditioning().conds

    assert cond.tokens.shape == (1, 2, 1024)
    assert cond.tokens.dtype == torch.float32
    assert 0.7 < float(cond.tokens.std()) < 0.9


def test_the_kind_that_reads_noise_too_is_not_known(tmp_path):
    path = write(tmp_path / "lotus-g.safetensors", small_lotus(channels=8))

    with pytest.raises(UnknownFamilyError):
        architecture_of(read_header(path))
