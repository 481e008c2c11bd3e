"""DifferentialDiffusion: grey in a mask is how much may change."""

from dataclasses import replace

import pytest
import torch

from nodes.builtin.sampling.differential_diffusion import Differential, differential_diffusion
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.guidance.loop import Request, noise_for, sample
from nodes.sampling.guidance.settings import PLAIN
from nodes.sampling.noise_schedule.parameterization import Discrete, Flow
from nodes.values import Cond, Conditioning, Latent
from tests.nodes.closed_form import ClosedForm
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened

PICTURE = torch.linspace(-1, 1, 4 * 64).reshape(1, 4, 8, 8)
FACTS = {"eps": Discrete.scaled_linear(), "flow": Flow.with_shift(3.0)}
SIGMAS = {"eps": [14.6146, 5.0, 1.0, 0.3, 0.0], "flow": [1.0, 0.75, 0.5, 0.25, 0.0]}


def run(kind, value, guidance, sigmas=None):
    """A picture denoised under a mask of one value."""
    said = Conditioning((Cond(torch.ones(1, 1, 1)),))
    latent = Latent(PICTURE, noise_mask=torch.full((1, 1, 8, 8), value))
    request = Request(
        denoiser=ClosedForm(FACTS[kind]), sampler="euler", seed=1, positive=said, negative=said,
        sigmas=torch.tensor(sigmas or SIGMAS[kind]), cfg=1.0, guidance=guidance,
    )  # fmt: skip
    return sample(request, latent, noise_for(latent, 1))


def differing(strength=1.0):
    return replace(PLAIN, denoise_mask_function=Differential(strength))


@pytest.mark.parametrize("kind", FACTS)
def test_black_stays_and_white_is_denoised(kind):
    assert torch.allclose(run(kind, 0.0, differing()), PICTURE, atol=1e-5)
    assert torch.equal(run(kind, 1.0, differing()), run(kind, 1.0, PLAIN))


@pytest.mark.parametrize("kind", FACTS)
def test_the_lighter_the_more_changes(kind):
    changes = [
        float((run(kind, value, differing()) - PICTURE).abs().mean())
        for value in (0.05, 0.3, 0.6, 1.0)
    ]

    assert changes == sorted(changes)
    assert len({round(change, 4) for change in changes}) == len(changes)


def test_grey_opens_when_as_much_is_left():
    """Of timesteps: halfway from 1 to 0 for a flow model without shift."""
    mask = torch.tensor([0.0, 0.3, 0.5, 0.7, 1.0])

    assert Differential()(mask, 1.0).tolist() == [0, 0, 0, 0, 1]
    assert Differential()(mask, 0.5).tolist() == [0, 0, 1, 1, 1]
    assert Differential()(mask, 0.0).tolist() == [1, 1, 1, 1, 1]
    assert torch.allclose(Differential(0.5)(mask, 0.5), torch.tensor([0.0, 0.15, 0.75, 0.85, 1.0]))


def test_a_strength_of_0_is_the_mask_itself():
    for value in (0.3, 0.7):
        assert torch.equal(run("eps", value, differing(0.0)), run("eps", value, PLAIN))


def test_one_step_from_the_lowest_level_works():
    lowest = FACTS["eps"].sigma_min

    assert run("eps", 0.5, differing(), [lowest, 0.0]).isfinite().all()


def test_the_node_patches_the_model(tmp_path):
    model = ModelHandle(opened(write(tmp_path / "a.safetensors", small_sd15())).model)

    patched = differential_diffusion(model, 0.4)

    assert patched.guidance.denoise_mask_function == Differential(0.4)
    assert model.guidance.denoise_mask_function is None
