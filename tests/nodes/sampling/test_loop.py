"""From a KSampler's inputs to its latent: what is reported, when it stops, what it keeps."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest
import torch
from torch import Tensor

from nodes.models.loading.forward import ModelDenoiser
from nodes.sampling.conditioning.denoiser import ModelCall
from nodes.sampling.conditioning.latents import LatentFormat
from nodes.sampling.guidance.errors import NotFiniteError
from nodes.sampling.guidance.loop import Request, cut_steps, noise_for, sample
from nodes.sampling.noise_schedule.noise import initial_noise
from nodes.sampling.noise_schedule.parameterization import Discrete, Parameterization
from nodes.sampling.samplers.registry import SAMPLERS, sigmas_for
from nodes.values import Area, Cond, CondBatch, Conditioning, Latent
from tests.nodes.closed_form import ClosedForm
from tests.tiny_models.samplable import samplable

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


class Stopping(ClosedForm):
    """A model that is stopped before its third call."""

    def predict(self, calls: Sequence[ModelCall]) -> list[Tensor]:
        if len(self.calls) == 2:
            raise StopError
        return super().predict(calls)


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_stops_a_model_stops_every_sampler(name: str) -> None:
    model, told = Stopping(MODEL), list[int]()

    with pytest.raises(StopError):
        sample(
            replace(request(name), denoiser=model),
            LATENT,
            noise_for(LATENT, 1),
            lambda done, *_: told.append(done),
        )

    assert len(model.calls) == 2
    assert 1 <= len(told) <= 2


def test_a_model_is_stopped_between_two_calls_of_one_step(tmp_path: Path) -> None:
    """A prompt for an area takes a call of its own."""
    kind, made = samplable(tmp_path), list[int]()
    whole = kind.text(0.3).conds[0]
    area = replace(kind.text(0.7).conds[0], area=Area(4, 4, 0, 0))
    denoiser = ModelDenoiser(kind.model, check_cancelled=partial(stop_at, 2, made))
    positive = Conditioning((whole, area))
    asked = replace(request(), denoiser=denoiser, positive=positive, negative=positive, cfg=1.0)

    with pytest.raises(StopError):
        sample(asked, kind.blank(), noise_for(kind.blank(), 1))

    assert made == [1, 2]


def stop_at(last: int, checks: list[int]) -> None:
    checks.append(len(checks) + 1)
    if len(checks) == last:
        raise StopError


def test_only_the_sampler_ends_a_run() -> None:
    """A StopIteration that the model raises is an error like any other."""

    class Ending(ClosedForm):
        def predict(self, calls: Sequence[ModelCall]) -> list[Tensor]:
            raise StopIteration

    with pytest.raises(StopIteration):
        sample(replace(request(), denoiser=Ending(MODEL)), LATENT, noise_for(LATENT, 1))


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


class Merged:
    """A model for two runs in two threads, which answers one call of each in one go."""

    def __init__(self, model: ClosedForm) -> None:
        self._model = model
        self._calls: dict[int, ModelCall] = {}
        self._outputs: dict[int, Tensor] = {}
        self._all_have_asked = Barrier(2, self._answer, timeout=60)

    def of(self, run: int) -> "MergedRun":
        """The model as one of the runs knows it."""
        return MergedRun(self._model.parameterization, self, run)

    def predict(self, run: int, call: ModelCall) -> Tensor:
        self._calls[run] = call
        self._all_have_asked.wait()
        return self._outputs.pop(run)

    def _answer(self) -> None:
        calls = [self._calls.pop(run) for run in sorted(self._calls)]
        x, sigma = (torch.cat([getattr(c, part) for c in calls]) for part in ("x", "sigma"))
        cond = replace(calls[0].cond, tokens=torch.cat([c.cond.tokens for c in calls]))
        output = self._model.denoise(x, sigma, cond)
        self._outputs = dict(enumerate(torch.split(output, [len(c.x) for c in calls])))


class MergedRun(ClosedForm):
    """One run's way to a model that several share."""

    def __init__(self, parameterization: Parameterization, shared: Merged, run: int) -> None:
        super().__init__(parameterization)
        self._shared, self._run = shared, run

    def predict(self, calls: Sequence[ModelCall]) -> list[Tensor]:
        return [self._shared.predict(self._run, call) for call in calls]


def test_a_denoiser_may_merge_the_calls_of_two_runs() -> None:
    """Two samplers and seeds; the runs know nothing of one another."""
    model, latent = ClosedForm(MODEL), Latent(torch.zeros(1, 4, 8, 8))
    requests = [request("euler", 4, seed=1), request("dpmpp_2m", 4, seed=2)]
    alone = [sample(r, latent, noise_for(latent, r.seed)) for r in requests]
    shared = Merged(model)

    def run(number: int) -> Tensor:
        asked = replace(requests[number], denoiser=shared.of(number))
        return sample(asked, latent, noise_for(latent, asked.seed))

    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(run, (0, 1)))

    assert [shape[0] for shape, _ in model.calls] == [4] * 4
    for found, expected in zip(together, alone, strict=True):
        assert torch.allclose(found, expected, atol=1e-5)


def test_a_prediction_that_is_no_number_names_its_step() -> None:
    class Breaking(ClosedForm):
        def denoise(self, x: Tensor, sigma: Tensor, cond: CondBatch) -> Tensor:
            x0 = super().denoise(x, sigma, cond)
            return x0 / 0 if len(self.calls) == 3 else x0

    with pytest.raises(NotFiniteError, match=r"prediction in step 3 of 4"):
        sample(replace(request(), denoiser=Breaking(MODEL)), LATENT, noise_for(LATENT, 1))


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
