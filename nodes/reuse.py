"""Steps that go without the model, because its answer would be much like the one before.

EasyCache (Zhou et al. 2025, arXiv:2507.02860): how much an answer changes with its input is nearly
the same from step to step, so that the change of the input alone tells how far off the last
answer is by now.
"""

import logging
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from nodes.exploding import broadcast
from nodes.guidance import Guidance, ModelCall, Span
from nodes.guiding import Reuse
from nodes.parameterisation import Parameterisation
from nodes.samplers import Call, Reply

_LOG = logging.getLogger(__name__)

Asked: TypeAlias = Sequence[tuple[Tensor, Tensor]]
"""(x, sigma) of each answer: [rows, channels, h, w], and a scalar or [rows]."""


class Reusing:
    """What one run remembers of its answers.

    An answer is remembered as what a network says, (x - x0) / sigma, and as what that adds to the
    network's input.
    """

    def __init__(self, reuse: Reuse, facts: Parameterisation) -> None:
        self._reuse = reuse
        self._span = Span.of(reuse.start, reuse.end, facts)
        self._facts = facts
        self._calls: Sequence[ModelCall] = ()
        self._asked: Asked = ()
        self._recalled: list[Tensor] | None = None
        self._last: list[Tensor] = []
        self._inputs: list[Tensor] = []
        self._said: list[Tensor] = []
        self._rate: float | None = None
        self._error = 0.0

    def plan(self, call: Call, calls: Sequence[ModelCall]) -> bool:
        """Whether a sampler's call needs no model; to be told of each, once.

        Args:
            call: of the sampler.
            calls: of the model, that would answer it.
        """
        self._calls = calls
        if self._reuse.guided:
            self._asked = [(call.x, call.sigma)] * (2 if call.wants_uncond else 1)
        else:
            self._asked = [(each.x, each.sigma) for each in calls]
        self._recalled = self._recall() if self._asked else None
        return self._recalled is not None

    def reply(self, guidance: Guidance, call: Call, outputs: Sequence[Tensor]) -> Reply:
        """The answer to the call that was planned last.

        Args:
            guidance: makes one of the model's answers.
            call: of the sampler.
            outputs: of the model, if it was needed.
        """
        recalled = self._recalled
        if recalled is not None and self._reuse.guided:
            return Reply(recalled[0], recalled[1] if call.wants_uncond else None)
        reply = guidance.reply(call, self._calls, outputs if recalled is None else recalled)
        if recalled is None and self._asked:
            guided = [reply.x0, *([] if reply.uncond is None else [reply.uncond])]
            self._keep(guided if self._reuse.guided else outputs)
        return reply

    def _recall(self) -> list[Tensor] | None:
        """Answers that will do, if there are such."""
        inputs = self._as_seen()
        before, self._last = self._last, inputs
        sigma = float(self._asked[0][1].flatten()[0])
        alike = _alike(before, inputs) and _alike(self._inputs, inputs)
        if self._rate is None or not alike or not self._span.holds_at(sigma):
            return None
        self._error += self._rate * _apart(inputs, before) / _length(self._said)
        if not self._error < self._reuse.threshold:
            return None
        if self._reuse.verbose:
            _LOG.info("sigma %.4g: the model is not asked", sigma)
        return [
            x - broadcast(sigma, x) * (now + (said - then))
            for (x, sigma), now, said, then in zip(
                self._asked, inputs, self._said, self._inputs, strict=True
            )
        ]

    def _keep(self, answers: Sequence[Tensor]) -> None:
        """Remember x0 predictions, and how much they change with their inputs."""
        inputs = self._as_seen()
        pairs = zip(self._asked, answers, strict=True)
        said = [(x - x0) / broadcast(sigma, x) for (x, sigma), x0 in pairs]
        if _alike(self._inputs, inputs):
            moved = _apart(inputs, self._inputs)
            self._rate = _apart(said, self._said) / moved if moved else None
        self._inputs, self._said, self._error = inputs, said, 0.0

    def _as_seen(self) -> list[Tensor]:
        return [self._facts.scale_input(x, sigma) for x, sigma in self._asked]


def _alike(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return [x.shape for x in one] == [x.shape for x in other]


def _apart(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    return _length([a - b for a, b in zip(one, other, strict=True)])


def _length(parts: Sequence[Tensor]) -> float:
    whole = torch.cat([part.flatten().float() for part in parts])
    return float(whole.square().sum().sqrt())
