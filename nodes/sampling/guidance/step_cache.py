"""The step cache: steps that skip the model where its prediction would change little.

EasyCache (Zhou et al. 2025, arXiv:2507.02860): the ratio of the prediction's change to the input's
change is nearly the same from step to step, so the change of the input alone tells the error of
keeping the last prediction.
"""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from nodes.sampling.conditioning.denoiser import Denoiser
from nodes.sampling.conditioning.regions import SigmaRange
from nodes.sampling.guidance.planner import GuidancePlanner, PlannedCall
from nodes.sampling.guidance.settings import StepCacheSettings
from nodes.sampling.noise_schedule.parameterization import Parameterization
from nodes.sampling.noise_schedule.variance_exploding import broadcast
from nodes.sampling.samplers.registry import Call, Reply

_LOG = logging.getLogger(__name__)

_Inputs = Sequence[tuple[Tensor, Tensor]]
"""(x, sigma) of each prediction: [rows, channels, h, w], and a scalar or [rows]."""


class EasyCache:
    """The predictions that one run remembers.

    A prediction is remembered as (x - x0) / sigma, as k-diffusion's `to_d` has it, along with the
    network's input; the next prediction is taken to be the last plus the change of the input.
    """

    def __init__(self, settings: StepCacheSettings, parameterization: Parameterization) -> None:
        self._settings = settings
        self._parameterization = parameterization
        self._range = SigmaRange.between(settings.start, settings.end, parameterization)
        self._last_scaled: list[Tensor] = []
        """The network's inputs at the last call of the sampler."""
        self._cached_scaled: list[Tensor] = []
        """The network's inputs when it last ran."""
        self._predictions: list[Tensor] = []
        self._rate: float | None = None
        """The change of the predictions over that of the inputs."""
        self._error = 0.0

    def predict(self, planner: GuidancePlanner, call: Call, denoiser: Denoiser) -> Reply:
        """Answer a call of a sampler from the cache if the error stays small, else by the model.

        Args:
            planner: plans the model calls, and combines their predictions.
            call: of the sampler.
            denoiser: the model.

        Raises:
            NotFiniteError: the model's prediction holds infinities or NaN.
        """
        calls = planner.plan(call)
        inputs = self._cache_inputs(call, calls)
        cached = self._read(inputs) if inputs else None
        if cached is not None and self._settings.guided:
            return Reply(cached[0], cached[1] if call.wants_uncond else None)
        outputs = planner.run_model(call, calls, denoiser) if cached is None else cached
        more = planner.look_again(call, calls, outputs, denoiser) if cached is None else None
        reply = planner.combine(call, calls, outputs, more)
        if cached is None and inputs:
            self._write(inputs, _outputs(reply) if self._settings.guided else outputs)
        return reply

    def _cache_inputs(self, call: Call, calls: Sequence[PlannedCall]) -> _Inputs:
        """Return the inputs of the predictions to remember: the sampler's, or the model's."""
        if self._settings.guided:
            return [(call.x, call.sigma)] * (2 if call.wants_uncond else 1)
        return [(each.x, each.sigma) for each in calls]

    def _read(self, inputs: _Inputs) -> list[Tensor] | None:
        """Return x0 predictions from the cache; None if their error would be too large."""
        scaled = self._scale(inputs)
        before, self._last_scaled = self._last_scaled, scaled
        sigma = float(inputs[0][1].flatten()[0])
        same_shapes = _same_shapes(before, scaled) and _same_shapes(self._cached_scaled, scaled)
        if self._rate is None or not same_shapes or sigma not in self._range:
            return None
        self._error += self._rate * _distance(scaled, before) / _norm(self._predictions)
        if not self._error < self._settings.threshold:
            return None
        if self._settings.verbose:
            _LOG.info("sigma %.4g: step from the cache, the model does not run", sigma)
        return [
            x - broadcast(sigma, x) * (now + (prediction - then))
            for (x, sigma), now, prediction, then in zip(
                inputs, scaled, self._predictions, self._cached_scaled, strict=True
            )
        ]

    def _write(self, inputs: _Inputs, outputs: Sequence[Tensor]) -> None:
        """Remember x0 predictions, and how much they change with their inputs."""
        scaled = self._scale(inputs)
        pairs = zip(inputs, outputs, strict=True)
        predictions = [(x - x0) / broadcast(sigma, x) for (x, sigma), x0 in pairs]
        if _same_shapes(self._cached_scaled, scaled):
            change = _distance(scaled, self._cached_scaled)
            self._rate = _distance(predictions, self._predictions) / change if change else None
        self._cached_scaled, self._predictions, self._error = scaled, predictions, 0.0

    def _scale(self, inputs: _Inputs) -> list[Tensor]:
        """Return the latents as the network takes them."""
        return [self._parameterization.scale_input(x, sigma) for x, sigma in inputs]


def _outputs(reply: Reply) -> list[Tensor]:
    return [reply.x0, *([] if reply.uncond is None else [reply.uncond])]


def _same_shapes(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return [x.shape for x in one] == [x.shape for x in other]


def _distance(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    return _norm([a - b for a, b in zip(one, other, strict=True)])


def _norm(tensors: Sequence[Tensor]) -> float:
    flat = torch.cat([tensor.flatten().float() for tensor in tensors])
    return float(flat.square().sum().sqrt())
