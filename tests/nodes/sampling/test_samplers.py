"""Every sampler against the reference numbers, against closed forms, and as a good citizen."""

import inspect
import math
from functools import partial

import pytest
import torch
from torch import Tensor

from nodes.sampling.guidance.loop import Request, cut_steps, noise_for, sample
from nodes.sampling.noise_schedule.noise import SeededNoise, initial_noise
from nodes.sampling.noise_schedule.parameterization import Discrete, Flow
from nodes.sampling.noise_schedule.schedules import schedule
from nodes.sampling.samplers.euler import lcm_scaled
from nodes.sampling.samplers.protocol import Sampler
from nodes.sampling.samplers.registry import SAMPLERS, Process, sigmas_for
from nodes.values import Cond, Conditioning, Latent
from tests.nodes.closed_form import ClosedForm, drive
from tests.nodes.reference import MODELS, distance, numbers, tensors

RUNS = numbers("samplers")["runs"]
CUTS = {
    "steps2to6": (2, 6, True),
    "last4_force": (0, 4, False),
    "disable_noise_start4": (4, 8, True),
}


def text(value: float) -> Conditioning:
    return Conditioning((Cond(torch.full((1, 1, 1), value)),))


def cut(sigmas: Tensor, variant: list[str]) -> Tensor:
    for start, end, leave_noise in (CUTS[v] for v in variant if v in CUTS):
        sigmas = cut_steps(sigmas, start, end, leave_noise=leave_noise)
    return sigmas


@pytest.mark.parametrize("key", RUNS)
def test_sampler_equals_the_reference(key: str) -> None:
    """Keys read model/sampler/schedule/steps/cfg, then what is special about the run."""
    name, sampler, scheduler, steps, cfg, *variant = key.split("/")
    denoise = [float(v.removeprefix("denoise")) for v in variant if v.startswith("denoise0")]
    sigmas = sigmas_for(MODELS[name], scheduler, sampler, int(steps), *(denoise or [1.0]))
    from_picture = bool({"img", "steps2to6", "disable_noise_start4"} & set(variant))
    latent = Latent(
        tensors("samplers")["_img"] if from_picture else torch.zeros(2, 4, 8, 8),
        noise_mask=tensors("samplers")["_mask"] if "mask" in variant else None,
    )
    model = ClosedForm(MODELS[name])
    request = Request(
        denoiser=model,
        sampler=sampler,
        sigmas=cut(sigmas, variant),
        positive=text(0.5),
        negative=text(-0.3),
        cfg=float(cfg.removeprefix("cfg")),
        seed=42,
    )

    found = sample(request, latent, noise_for(latent, 42))

    tolerance = 5e-4 if sampler.startswith("uni_pc") else 1e-4
    assert [s for _, s in model.calls] == pytest.approx(RUNS[key]["sigmas_called"], rel=1e-4)
    assert distance(found, tensors("samplers")[key]) <= tolerance


def test_every_sampler_of_the_reference_is_there_in_its_order() -> None:
    reference = list(dict.fromkeys(key.split("/")[1] for key in RUNS))

    assert list(SAMPLERS)[: len(reference)] == reference


@pytest.mark.parametrize(
    "model", [Discrete.scaled_linear(), Flow.with_shift(3.0)], ids=["ve", "flow"]
)
@pytest.mark.parametrize("name", SAMPLERS)
def test_sampler_leaves_its_inputs_and_replies_as_they_are(name: str, model: object) -> None:
    assert isinstance(model, Discrete | Flow)
    sigmas = schedule(model, "simple", 5)
    x = initial_noise((1, 4, 4, 4), 1) * sigmas[0]
    replies: list[Tensor] = []

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        replies.append(x / (1 + sigma**2))
        return replies[-1]

    found = drive(SAMPLERS[name](x, sigmas, Process(model, SeededNoise(1))), denoise)

    assert found.isfinite().all()
    assert [x._version, sigmas._version] == [0, 0]
    assert all(reply._version == 0 for reply in replies)


def options_of(name: str) -> set[str]:
    return set(inspect.signature(SAMPLERS[name]).parameters)


@pytest.mark.parametrize(
    ("name", "option"), [(n, o) for n in SAMPLERS for o in ("eta", "s_noise") if o in options_of(n)]
)
def test_sampler_adds_no_noise_when_told_so(name: str, option: str) -> None:
    """Without noise on the way, the seed of the noise doesn't matter; with it, it does."""
    model = Discrete.scaled_linear()
    sigmas = schedule(model, "karras", 4)
    x = initial_noise((1, 4, 4, 4), 1) * sigmas[0]
    on = {"eta": 1.0} if "eta" in options_of(name) else {}

    def run(seed: int, **options: float) -> Tensor:
        sampler = partial(SAMPLERS[name], **{**on, **options})
        return drive(
            sampler(x, sigmas, Process(model, SeededNoise(seed))), lambda x, s: x / (1 + s**2)
        )

    assert torch.equal(run(1, **{option: 0.0}), run(2, **{option: 0.0}))
    assert not torch.equal(run(1), run(2))


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize(
    "name", [n for n in SAMPLERS if "cfg_pp" not in n and n not in {"dpm_fast", "dpm_adaptive"}]
)
def test_sampler_reaches_a_constant_x0_in_few_steps(name: str, steps: int) -> None:
    """Except those that renew noise from another prediction, or end above sigma 0."""
    model, target = Discrete.scaled_linear(), torch.full((1, 4, 4, 4), 0.7)
    sigmas = sigmas_for(model, "karras", name, steps, 1.0)
    x = initial_noise(target.shape, 1) * sigmas[0]

    found = drive(SAMPLERS[name](x, sigmas, Process(model, SeededNoise(1))), lambda *_: target)

    assert found.sub(target).abs().max() < 5e-3


@pytest.mark.parametrize(
    "model", [Discrete.scaled_linear(), Flow.with_shift(3.0)], ids=["ve", "flow"]
)
@pytest.mark.parametrize(
    "name", [n for n in SAMPLERS if not n.endswith(("_cfg_pp", "_gpu")) and n != "lcm"]
)
def test_sampler_keeps_the_spread_of_a_gaussian(name: str, model: object) -> None:
    """For data N(0, 0.5^2) the best x0 is known, and samples must have that spread.

    With alpha and sigma the share of signal and noise in x:
    x0 = x * alpha 0.25 / (alpha^2 0.25 + sigma^2).
    """
    assert isinstance(model, Discrete | Flow)
    if model.is_flow and name in {"ddpm", "res_multistep_ancestral"}:
        pytest.skip("steps as if the latent did not fade, as in ComfyUI")
    spread = 0.5
    sigmas = schedule(model, "karras" if isinstance(model, Discrete) else "simple", 60)
    x = initial_noise((1, 4, 32, 32), 1) * sigmas[0]

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        alpha = model.alpha(sigma)
        return x * alpha * spread**2 / (alpha**2 * spread**2 + sigma**2)

    found = drive(SAMPLERS[name](x, sigmas, Process(model, SeededNoise(2))), denoise)

    assert float(found.std()) == pytest.approx(spread, rel=0.12)


@pytest.mark.parametrize(
    ("name", "order"),
    [("euler", 1), ("heun", 2), ("dpm_2", 2), ("dpmpp_2m", 2), ("lms", 3), ("res_multistep", 2)],
)
def test_error_shrinks_with_the_order_of_the_method(name: str, order: int) -> None:
    """The Gaussian's ODE has x(sigma) proportional to sqrt(spread^2 + sigma^2)."""
    x, low, high = torch.ones(1, 1, 1, 1, dtype=torch.float64), 0.5, 5.0
    exact = math.sqrt((0.25 + low**2) / (0.25 + high**2))

    def error(steps: int) -> float:
        sigmas = torch.linspace(math.log(high), math.log(low), steps + 1, dtype=torch.float64).exp()
        process = Process(Discrete.scaled_linear(), SeededNoise(1))
        sampling = SAMPLERS[name](x, sigmas, process)
        return abs(float(drive(sampling, lambda x, s: x * 0.25 / (0.25 + s**2))) - exact)

    assert math.log2(error(32) / error(64)) > order - 0.3


def test_the_noise_of_lcm_is_scaled_step_by_step_and_cut_off() -> None:
    plain = noise_between_steps(SAMPLERS["lcm"])

    assert noise_between_steps(partial(lcm_scaled, first=1.0, last=1.0)) == plain
    grown = noise_between_steps(partial(lcm_scaled, first=2.0, last=4.0))
    assert grown == pytest.approx([n * k for n, k in zip(plain, (2, 3, 4), strict=True)])
    cut_off = noise_between_steps(partial(lcm_scaled, first=1.0, last=1.0, clip=0.1))
    assert cut_off == pytest.approx([max(-0.1, min(0.1, n)) for n in plain])


def noise_between_steps(sampler: Sampler) -> list[float]:
    """The first number of the noise before each step but the first, where x0 is always 0."""
    model, seen = Discrete.scaled_linear(), list[float]()
    sigmas = schedule(model, "simple", 4)

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append(float(x.flatten()[0] / sigma))
        return torch.zeros_like(x)

    drive(sampler(torch.zeros(1, 4, 4, 4), sigmas, Process(model, SeededNoise(1))), denoise)
    return seen[1:]
