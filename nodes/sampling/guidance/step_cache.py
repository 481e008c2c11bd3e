"""The step cache: steps that go without the model, as its answer would be much like the last.

EasyCache (Zhou et al. 2025, arXiv:2507.02860): how much an answer changes with its input is nearly
the same from step to step, so that the change of the input alone tells how far off the last
answer is by now.
"""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from nodes.sampling.conditioning.denoiser import Denoiser
from nodes.sampling.conditioning.regions import SigmaRange
from nodes.sampling.guidance.planner import GuidancePlanner, PlannedCall
from nodes.sampling.guidance.settings import StepCache
from nodes.sampling.noise_schedule.parameterization import Parameterisation
from nodes.sampling.noise_schedule.variance_exploding import broadcast
from nodes.sampling.samplers.registry import Call, Reply

_LOG = logging.getLogger(__name__)

_Inputs = Sequence[tuple[Tensor, Tensor]]
"""(x, sigma) of each answer: [rows, channels, h, w], and a scalar or [rows]."""


class CachedSteps:
    """The answers that one run remembers.

    An answer is remembered as the network's prediction, (x - x0) / sigma, and as what that adds
    to the network's input.
    """

    def __init__(self, settings: StepCache, parameterization: Parameterisation) -> None:
        self._settings = settings
        self._parameterization = parameterization
        self._range = SigmaRange.of(settings.start, settings.end, parameterization)
        self._last: list[Tensor] = []
        self._inputs: list[Tensor] = []
        self._predictions: list[Tensor] = []
        self._rate: float | None = None
        self._error = 0.0

    def predict(self, planner: GuidancePlanner, call: Call, denoiser: Denoiser) -> Reply:
        """Answer a call of a sampler from memory if that will do, else by asking the model.

        Args:
            planner: plans the model calls, and combines their predictions.
            call: of the sampler.
            denoiser: the model.

        Raises:
            NotFiniteError: the model's prediction holds infinities or NaN.
        """
        calls = planner.model_calls(call)
        asked = self._cache_inputs(call, calls)
        recalled = self._recall(asked) if asked else None
        if recalled is not None and self._settings.guided:
            return Reply(recalled[0], recalled[1] if call.wants_uncond else None)
        outputs = planner.ask(call, calls, denoiser) if recalled is None else recalled
        reply = planner.reply(call, calls, outputs)
        if recalled is None and asked:
            self._keep(asked, _outputs(reply) if self._settings.guided else outputs)
        return reply

    def _cache_inputs(self, call: Call, calls: Sequence[PlannedCall]) -> _Inputs:
        """Return the inputs of the answers to remember: the sampler's, or the model's."""
        if self._settings.guided:
            return [(call.x, call.sigma)] * (2 if call.wants_uncond else 1)
        return [(each.x, each.sigma) for each in calls]

    def _recall(self, asked: _Inputs) -> list[Tensor] | None:
        """Return x0 predictions from memory; None if they would not do."""
        inputs = self._scale(asked)
        before, self._last = self._last, inputs
        sigma = float(asked[0][1].flatten()[0])
        alike = _alike(before, inputs) and _alike(self._inputs, inputs)
        if self._rate is None or not alike or sigma not in self._range:
            return None
        self._error += self._rate * _distance(inputs, before) / _norm(self._predictions)
        if not self._error < self._settings.threshold:
            return None
        if self._settings.verbose:
            _LOG.info("sigma %.4g: the model is not asked", sigma)
        return [
            x - broadcast(sigma, x) * (now + (prediction - then))
            for (x, sigma), now, prediction, then in zip(
                asked, inputs, self._predictions, self._inputs, strict=True
            )
        ]

    def _keep(self, asked: _Inputs, answers: Sequence[Tensor]) -> None:
        """Remember x0 predictions, and how much they change with their inputs."""
        inputs = self._scale(asked)
        pairs = zip(asked, answers, strict=True)
        predictions = [(x - x0) / broadcast(sigma, x) for (x, sigma), x0 in pairs]
        if _alike(self._inputs, inputs):
            moved = _distance(inputs, self._inputs)
            self._rate = _distance(predictions, self._predictions) / moved if moved else None
        self._inputs, self._predictions, self._error = inputs, predictions, 0.0

    def _scale(self, asked: _Inputs) -> list[Tensor]:
        """Return the latents as the network sees them."""
        return [self._parameterization.scale_input(x, sigma) for x, sigma in asked]


def _outputs(reply: Reply) -> list[Tensor]:
    return [reply.x0, *([] if reply.uncond is None else [reply.uncond])]


def _alike(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return [x.shape for x in one] == [x.shape for x in other]


def _distance(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    return _norm([a - b for a, b in zip(one, other, strict=True)])


def _norm(parts: Sequence[Tensor]) -> float:
    whole = torch.cat([part.flatten().float() for part in parts])
    return float(whole.square().sum().sqrt())
