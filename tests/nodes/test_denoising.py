"""From a KSampler's inputs to its latent: what is reported, when it stops, what it keeps."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nodes.denoising import Denoising, Request, cut_steps, noise_for, sample
from nodes.latent_format import LatentFormat
from nodes.noise import initial_noise
from nodes.parameterisation import Discrete
from nodes.samplers import SAMPLERS
from nodes.schedules import sigmas_for
from nodes.values import Cond, Conditioning, Latent
from tests.nodes.closed_form import ClosedForm

MODEL = Discrete.scaled_linear()


def request(sampler: str = "euler", steps: int = 4, seed: int = 1) -> Request:
    text = Conditioning((Cond(torch.full((1, 1, 1), 0.5)),))
    sigmas = sigmas_for(MODEL, "karras", sampler, steps, 1.0)
    return Request(ClosedForm(MODEL), sampler, sigmas, text, text, 2.0, seed)


LATENT = Latent(torch.zeros(2, 4, 8, 8))


class StopError(Exception):
    pass


@pytest.mark.parametrize("name", ["euler", "heun", "uni_pc", "dpm_fast", "dpm_adaptive", "seeds_3"])
def test_each_step_is_told_once_and_in_order(name: str) -> None:
    told: list[tuple[int, int, torch.Size]] = []
    sigmas = sigmas_for(MODEL, "karras", "euler", 4, 1.0)

    sample(
        replace(request(name), sigmas=sigmas),
        LATENT,
        noise_for(LATENT, 1),
        lambda done, total, x0: told.append((done, total, x0.shape)),
    )

    steps = [done for done, _, _ in told]
    assert steps == sorted(set(steps))
    assert all(1 <= done <= 4 for done in steps)
    assert {(total, shape) for _, total, shape in told} == {(4, LATENT.samples.shape)}
    if name in {"euler", "heun", "uni_pc", "seeds_3"}:
        assert steps == [1, 2, 3, 4]


@pytest.mark.parametrize("name", SAMPLERS)
def test_cancelling_stops_before_the_next_model_call(name: str) -> None:
    asked = request(name)
    left = iter([None, None])

    def check() -> None:
        if next(left, StopError) is StopError:
            raise StopError

    with pytest.raises(StopError):
        sample(asked, LATENT, noise_for(LATENT, 1), check_cancelled=check)

    assert isinstance(asked.denoiser, ClosedForm)
    assert len(asked.denoiser.calls) == 2


def test_no_steps_leave_the_latent_as_it_is() -> None:
    empty = replace(request(), sigmas=torch.empty(0))

    assert sample(empty, LATENT, noise_for(LATENT, 1)) is LATENT.samples


def test_nothing_is_denoised_outside_the_mask() -> None:
    picture = initial_noise((1, 4, 8, 8), 9)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 32:] = 1
    latent = Latent(picture, noise_mask=mask)

    found = sample(request(), latent, noise_for(latent, 1))

    assert torch.allclose(found[..., :4], picture[..., :4], atol=1e-6)
    assert found[..., 4:].sub(picture[..., 4:]).abs().min() > 1e-3
    assert picture._version == 0


def test_latents_go_through_the_model_space_and_back() -> None:
    """An empty latent stays empty there, whatever the format's shift."""

    class Scaled(ClosedForm):
        latent_format = LatentFormat(4, 8, scale=0.5, shift=0.25)

    asked = request()
    picture = initial_noise((1, 4, 8, 8), 9)

    for raw, inside in ((picture, (picture - 0.25) * 0.5), (picture * 0, picture * 0)):
        plain = sample(asked, Latent(inside), noise_for(Latent(raw), 1))
        found = sample(
            replace(asked, denoiser=Scaled(MODEL)), Latent(raw), noise_for(Latent(raw), 1)
        )
        assert torch.allclose(found, plain / 0.5 + 0.25, atol=1e-6)


def test_runs_advanced_together_equal_runs_alone() -> None:
    """Two samplers, steps and seeds; their model calls merge into one."""
    model, latent = ClosedForm(MODEL), Latent(torch.zeros(1, 4, 8, 8))
    requests = [request("euler", 3, seed=1), request("dpmpp_2m", 5, seed=2)]
    alone = [sample(r, latent, noise_for(latent, r.seed)) for r in requests]
    runs = [Denoising(r, latent, noise_for(latent, r.seed)) for r in requests]

    while pending := [run for run in runs if run.result is None]:
        calls = [run.model_calls() for run in pending]
        (batch,) = {tuple(c.x.shape[1:]) for (c,) in calls}
        x = torch.cat([c.x for (c,) in calls])
        sigma = torch.cat([c.sigma for (c,) in calls])
        tokens = torch.cat([c.cond.tokens for (c,) in calls])
        output = model.denoise(x, sigma, replace(calls[0][0].cond, tokens=tokens))
        parts = output.unflatten(0, (len(pending), -1)).unbind()
        assert tuple(output.shape[1:]) == batch
        for run, asked, part in zip(pending, calls, parts, strict=True):
            run.advance(asked, [part])

    assert len(model.calls) == 5
    for run, expected in zip(runs, alone, strict=True):
        assert run.result is not None
        assert torch.allclose(run.result, expected, atol=1e-5)


def test_sampler_options_are_passed_as_a_partial() -> None:
    def stay(x: Tensor, sigmas: Tensor, _: object) -> object:
        yield from ()
        return x * 0 + sigmas[0]

    found = sample(replace(request(), sampler=stay), LATENT, noise_for(LATENT, 1))  # pyright: ignore[reportArgumentType]

    assert float(found.mean()) == pytest.approx(MODEL.sigma_max)


@pytest.mark.parametrize(
    ("start", "end", "leave_noise", "expected"),
    [
        (0, 10000, False, [4, 3, 2, 1, 0]),
        (0, 2, True, [4, 3, 2]),
        (0, 2, False, [4, 3, 0]),
        (2, 10000, True, [2, 1, 0]),
        (1, 3, True, [3, 2, 1]),
        (4, 10000, False, []),
        (3, 2, False, []),
        (0, 0, False, []),
    ],
)
def test_cut_steps(start: int, end: int, leave_noise: bool, expected: list[float]) -> None:
    sigmas = torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0])

    assert cut_steps(sigmas, start, end, leave_noise=leave_noise).tolist() == expected
    assert sigmas[-1] == 0


def test_no_noise_is_zeros_of_the_latents_shape() -> None:
    assert not noise_for(LATENT, 1, add=False).any()
    assert torch.equal(noise_for(LATENT, 1), initial_noise((2, 4, 8, 8), 1))


def test_no_gradients_are_kept() -> None:
    latent = Latent(torch.ones(1, 4, 8, 8, requires_grad=True))

    assert not sample(request(), latent, noise_for(latent, 1)).requires_grad
