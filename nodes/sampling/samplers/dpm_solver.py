"""DPM-Solver with its own choice of steps: for a number of calls, or for an accuracy.

Lu et al. 2022 (arXiv:2206.00927), in the coordinates of k-diffusion: t = -log(sigma).
"""

import math
from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.sampling.samplers.protocol import Call, Process, Reply, Sampling
from nodes.sampling.samplers.steps import ancestral_step, slope


@dataclass(frozen=True, slots=True)
class _Point:
    """A point on the path, with the noise that the model predicts there."""

    x: Tensor
    t: Tensor
    noise: Tensor


_Evaluation = Generator[Call, Reply, _Point]


def _evaluate(x: Tensor, t: Tensor, i: int) -> _Evaluation:
    sigma = t.neg().exp()
    reply = yield Call(x, sigma, i)
    return _Point(x, t, slope(x, sigma, reply.x0))


def _first_order(start: _Point, h: Tensor) -> Tensor:
    """DPM-Solver-1 (eq. 3.7)."""
    return start.x - (start.t + h).neg().exp() * h.expm1() * start.noise


def _second_order(start: _Point, t_next: Tensor, i: int, r: float = 1 / 2) -> Sampling:
    """DPM-Solver-2 (alg. 4)."""
    h = t_next - start.t
    middle = yield from _evaluate(_first_order(start, r * h), start.t + r * h, i)
    push = t_next.neg().exp() / (2 * r) * h.expm1()
    return _first_order(start, h) - push * (middle.noise - start.noise)


def _third_order(start: _Point, t_next: Tensor, i: int) -> Sampling:
    """DPM-Solver-3 (alg. 5), at 1/3 and 2/3 of the step."""
    return (yield from _third_and_second(start, t_next, i))[0]


def _third_and_second(
    start: _Point, t_next: Tensor, i: int, r1: float = 1 / 3, r2: float = 2 / 3
) -> Generator[Call, Reply, tuple[Tensor, Tensor]]:
    """DPM-Solver-3, and DPM-Solver-2 with the same first inner call."""
    h = t_next - start.t
    end = t_next.neg().exp()
    one = yield from _evaluate(_first_order(start, r1 * h), start.t + r1 * h, i)
    difference = one.noise - start.noise
    lower = _first_order(start, h) - end / (2 * r1) * h.expm1() * difference
    s2 = start.t + r2 * h
    bend = s2.neg().exp() * (r2 / r1) * ((r2 * h).expm1() / (r2 * h) - 1)
    two = yield from _evaluate(_first_order(start, r2 * h) - bend * difference, s2, i)
    bend = end / r2 * (h.expm1() / h - 1)
    return _first_order(start, h) - bend * (two.noise - start.noise), lower


def dpm_fast(
    x: Tensor, sigmas: Tensor, process: Process, *, eta: float = 0.0, s_noise: float = 1.0
) -> Sampling:
    """DPM-Solver-fast: third-order steps, as many as the number of calls allows (section 3.4)."""
    if len(sigmas) < 2:
        return x
    calls = len(sigmas) - 1
    first, end = sigmas[0].log().neg(), _lowest(sigmas).log().neg()
    orders = _orders(calls)
    times = torch.linspace(float(first), float(end), len(orders) + 1)
    done = 0
    for order, t, t_next in zip(orders, times[:-1], times[1:], strict=True):
        target, up = _below(t, t_next, eta) if t_next < end else (t_next, None)
        start = yield from _evaluate(x, t, done)
        if order == 1:
            x = _first_order(start, target - t)
        else:
            x = yield from (_second_order if order == 2 else _third_order)(start, target, done)
        if up is not None and eta > 0:
            x = x + up * s_noise * process.noise.white(x)
        done += order
    return x


def _orders(calls: int) -> list[int]:
    """Return the order of each step: third-order ones, and the rest at the end."""
    steps = calls // 3 + 1
    if calls % 3 == 0:
        return [3] * (steps - 2) + [2, 1]
    return [3] * (steps - 1) + [calls % 3]


def _lowest(sigmas: Tensor) -> Tensor:
    """Return the last sigma above 0."""
    return sigmas[-1] if sigmas[-1] > 0 else sigmas[-2]


def _below(t: Tensor, t_next: Tensor, eta: float) -> tuple[Tensor, Tensor | None]:
    """Return the time to step to, and the amount of noise to add there."""
    sigma_down, sigma_up = ancestral_step(t.neg().exp(), t_next.neg().exp(), eta)
    return sigma_down.log().neg(), sigma_up


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The tolerances and step-size control of `dpm_adaptive`."""

    order: int = 3
    rtol: float = 0.05
    atol: float = 0.0078
    h_init: float = 0.05
    pcoeff: float = 0.0
    icoeff: float = 1.0
    dcoeff: float = 0.0
    accept_safety: float = 0.81


@dataclass(slots=True)
class _StepSize:
    """A PID controller of the step size (Söderlind 2003), with k-diffusion's limiter."""

    h: float
    order: float
    coefficients: tuple[float, float, float]
    accept_safety: float
    past: tuple[float, ...] = ()  # inverse errors, latest first

    @classmethod
    def for_accuracy(cls, accuracy: Accuracy, *, noisy: bool) -> "_StepSize":
        """Make a controller; with noise, errors shrink as those of a method of order 1.5."""
        coefficients = (accuracy.pcoeff, accuracy.icoeff, accuracy.dcoeff)
        order = 1.5 if noisy else accuracy.order
        return cls(accuracy.h_init, order, coefficients, accuracy.accept_safety)

    def accepts(self, error: float) -> bool:
        """Return True if the step with this error is accepted; also set the next step's size."""
        inverse = 1 / (error + 1e-8)
        past = self.past or (inverse, inverse)
        p, i, d = self.coefficients
        b = ((p + i + d) / self.order, -(p + 2 * d) / self.order, d / self.order)
        factor = inverse ** b[0] * past[0] ** b[1] * past[1] ** b[2]
        factor = 1 + math.atan(factor - 1)
        accepted = factor >= self.accept_safety
        self.past = (inverse, past[0]) if accepted else past
        self.h *= factor
        return accepted


def dpm_adaptive(
    x: Tensor,
    sigmas: Tensor,
    process: Process,
    *,
    accuracy: Accuracy | None = None,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> Sampling:
    """DPM-Solver-12 or -23 with steps sized by their estimated error (appendix C).

    The number of calls isn't known beforehand; progress counts the steps of `sigmas`.
    """
    if len(sigmas) < 2:
        return x
    accuracy = accuracy or Accuracy()
    size = _StepSize.for_accuracy(accuracy, noisy=eta > 0)
    t, end = sigmas[0].log().neg(), _lowest(sigmas).log().neg()
    before, whole = x, end - t
    while t < end - 1e-5:
        i = int((len(sigmas) - 1) * (1 - (end - t) / whole))
        t_next = torch.minimum(end, t + size.h)
        target, up = _below(t, t_next, eta) if eta > 0 else (t_next, None)
        start = yield from _evaluate(x, t, i)
        higher, lower = yield from _pair(start, target, i, accuracy.order)
        delta = (accuracy.rtol * torch.maximum(lower.abs(), before.abs())).clamp(min=accuracy.atol)
        error = float(((lower - higher) / delta).square().mean().sqrt())
        if math.isnan(error):
            return higher  # no step would ever be accepted; the loop says whose numbers are none
        if size.accepts(error):
            before, x, t = lower, higher, t_next
            if up is not None:
                x = x + up * s_noise * process.noise.white(x)
    return x


def _pair(
    start: _Point, t_next: Tensor, i: int, order: int
) -> Generator[Call, Reply, tuple[Tensor, Tensor]]:
    """Return a step of the wanted order, and one of the order below it."""
    if order == 2:
        return (yield from _second_order(start, t_next, i)), _first_order(start, t_next - start.t)
    return (yield from _third_and_second(start, t_next, i))
