"""The protocol between a sampler and the denoising loop.

A sampler is a generator. It yields a `Call` wherever k-diffusion would call `model(x, sigma)`, is
sent a `Reply`, and returns the final latent. It never sees the model, so that the loop can report
steps, show previews and stop between any two calls. `SamplerRun` iterates over the calls::

    run = SamplerRun(euler(x, sigmas, process))
    for call in run:
        run.answer(Reply(x0=model(call.x, call.sigma)))
    latent = run.latent
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from nodegraph.graph.sockets import Socket
from nodes.sampling.noise_schedule.noise import NoiseSource
from nodes.sampling.noise_schedule.parameterization import Parameterization


@dataclass(frozen=True, slots=True)
class Call:
    """A model call: a sampler asks for the clean latent (x0) at x and noise level sigma."""

    x: Tensor
    """[batch, channels, h, w] float32, in the model's space."""
    sigma: Tensor
    """A scalar, or [batch]."""
    step: int
    """The step of the schedule that it serves, from 0; a step may take several calls."""
    wants_uncond: bool = False
    """True if the reply must also have the unconditional prediction."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a `Call`: the predictions."""

    x0: Tensor
    """The guided prediction of the clean latent; the shape of x."""
    uncond: Tensor | None = None
    """The prediction without the prompt, where the call asked for it."""
    cond: Tensor | None = None
    """The prediction with the prompt and no guidance, likewise."""


Sampling: TypeAlias = Generator[Call, Reply, Tensor]
"""A sampler at work: yields calls, is sent replies, returns the latent at the last sigma."""


@dataclass(frozen=True, slots=True)
class Process:
    """The noising process that a sampler reverses."""

    parameterization: Parameterization
    noise: NoiseSource


class Sampler(Protocol):
    """A sampling method, from noise to a latent.

    Its own options (`eta`, `s_noise`, …) are keyword arguments with the usual defaults;
    `functools.partial` sets them.
    """

    def __call__(self, x: Tensor, sigmas: Tensor, process: Process, /) -> Sampling:
        """Start sampling.

        Args:
            x: [batch, channels, h, w], the latent with the noise of `sigmas[0]`; never modified.
            sigmas: [steps + 1], descending, on the CPU.
            process: the parameterization and the noise source.
        """
        ...


class Answerer(Protocol):
    """Answers a sampler's calls: the model, with guidance and all."""

    def answer(self, call: Call) -> Reply:
        """Return the predictions that a call asks for."""
        ...


@runtime_checkable
class DirectSampler(Protocol):
    """A sampling method that has its calls answered itself, and is no generator.

    For methods of others, which call a model like a function.
    """

    def sample(self, x: Tensor, sigmas: Tensor, process: Process, model: Answerer, /) -> Tensor:
        """Return the latent at the last sigma.

        Args:
            x: see `Sampler`.
            sigmas: see `Sampler`.
            process: see `Sampler`.
            model: answers the calls.
        """
        ...


AnySampler: TypeAlias = Sampler | DirectSampler
"""A sampling method of either kind."""


@dataclass(frozen=True, slots=True)
class NamedSampler:
    """A sampler as workflows can choose it."""

    sampler: AnySampler
    drops_penultimate: bool = False
    """True if the last level above 0 harms it: it takes one level more, and drops that one."""
    renews_noise: bool = False
    """True to draw the noise outside an inpainting mask anew, as ComfyUI does for DDIM."""


SamplerOrName: TypeAlias = Annotated[str | Sampler | DirectSampler, Socket("SAMPLER")]
"""A name of `SAMPLERS`, or a sampler with options of its own."""


class SamplerRun:
    """One run of a sampler: iterates over its calls, each of which is answered before the next."""

    latent: Tensor
    """The sampler's result: [batch, channels, h, w] at the last sigma, once the calls are over."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._reply: Reply | None = None

    def __iter__(self) -> Iterator[Call]:
        """Yield the sampler's calls until it returns its latent."""
        try:
            yield next(self._sampling)
            while True:
                assert self._reply is not None, "a call must be answered"
                yield self._sampling.send(self._reply)
        except StopIteration as stop:
            self.latent = stop.value

    def answer(self, reply: Reply) -> None:
        """Set the reply to the call that was yielded last."""
        self._reply = reply


def run_sampler(
    sampler: AnySampler, x: Tensor, sigmas: Tensor, process: Process, model: Answerer
) -> Tensor:
    """Return the latent that a sampler of either kind makes of x.

    Args:
        sampler: with its options.
        x: see `Sampler`.
        sigmas: see `Sampler`.
        process: see `Sampler`.
        model: answers its calls.
    """
    if isinstance(sampler, DirectSampler):
        return sampler.sample(x, sigmas, process, model)
    run = SamplerRun(sampler(x, sigmas, process))
    for call in run:
        run.answer(model.answer(call))
    return run.latent


def uncond_of(reply: Reply) -> Tensor:
    """Return the unconditional prediction that the call asked for."""
    assert reply.uncond is not None, "a call with wants_uncond must be answered with it"
    return reply.uncond
