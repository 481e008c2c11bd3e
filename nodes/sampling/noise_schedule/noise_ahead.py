"""Noise that is drawn a step before a sampler asks for it.

On an accelerator the thread that samples would otherwise draw while the device waits. Another
thread draws into pinned memory meanwhile; the sampler's thread only has it copied from there. The
numbers are those of the source, bit for bit. Levels between those of the schedule, which some
samplers ask a Brownian path for, are drawn when they are asked for.
"""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from nodegraph.runtime.devices import is_accelerator, pinned_bytes
from nodes.sampling.noise_schedule.noise import Brownian, NoiseSource, Seeds, noise_source


def noise_ahead(seeds: Seeds, sigmas: Tensor, device: torch.device) -> NoiseSource:
    """Return the source of noise of one seed, or of one an image, for one run of a sampler.

    Args:
        seeds: one for the batch, or one for each image.
        sigmas: [steps + 1], the levels of the run, on the CPU.
        device: where it samples; on the CPU nothing is drawn ahead.
    """
    if not is_accelerator(device):
        return noise_source(seeds)
    return _NoiseAhead(seeds, sigmas, device)


class _Draw(NamedTuple):
    """A draw under way, and what it is for."""

    shape: torch.Size
    dtype: torch.dtype
    noise: "Future[Tensor]"


class _NoiseAhead:
    """Noise for one run of a sampler on an accelerator.

    If a draw has another shape than the one before, those so far are drawn again: the next draw
    ahead, which took numbers from the generator, was in vain.
    """

    def __init__(self, seeds: Seeds, sigmas: Tensor, device: torch.device) -> None:
        self._seeds = seeds
        self._sigmas = sigmas
        self._device = device
        self._source = noise_source(seeds)
        self._given: list[tuple[torch.Size, torch.dtype]] = []
        self._next: _Draw | None = None

    def white(self, x: Tensor) -> Tensor:
        """Return the next independent draw, of the shape and on the device of x."""
        ahead = self._next
        if ahead is not None and (ahead.shape, ahead.dtype) == (x.shape, x.dtype):
            noise = ahead.noise.result()
        else:
            if ahead is not None:
                self._start_again(ahead)
            noise = self._source.white(_on_host(x.shape, x.dtype))
        self._given.append((x.shape, x.dtype))
        source, host, device = self._source, _on_host(x.shape, x.dtype), self._device
        drawn = _threads().submit(lambda: _pin(source.white(host), device))
        self._next = _Draw(x.shape, x.dtype, drawn)
        return noise.to(x.device, non_blocking=True)

    def brownian(self, x: Tensor, sigma_min: float, sigma_max: float) -> Brownian:
        """Return a Brownian path over a range of levels, of the shape and on the device of x."""
        path = self._source.brownian(_on_host(x.shape, x.dtype), sigma_min, sigma_max)
        return _PathAhead(path, self._sigmas, self._device)

    def _start_again(self, unused: _Draw) -> None:
        """Bring a source to the place before a draw that nobody takes."""
        unused.noise.result()
        self._source = noise_source(self._seeds)
        for shape, dtype in self._given:
            self._source.white(_on_host(shape, dtype))


class _PathAhead:
    """A Brownian path whose next increment over a step of the schedule is drawn ahead."""

    def __init__(self, path: Brownian, sigmas: Tensor, device: torch.device) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._device, self._dtype = device, sigmas.dtype
        levels = [float(sigma) for sigma in sigmas]
        steps = [step for step in pairwise(levels) if step[1] > 0]
        self._following = dict(pairwise(steps))
        self._drawn: dict[tuple[float, float], Future[Tensor]] = {}
        if steps:
            self._draw(steps[0])

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        """Return unit-variance noise for the step between two levels."""
        step = (float(sigma), float(sigma_next))
        drawn = self._drawn.pop(step, None)
        noise = self._increment(sigma, sigma_next) if drawn is None else drawn.result()
        following = self._following.get(step)
        if following is not None and following not in self._drawn:
            self._draw(following)
        return noise.to(self._device, non_blocking=True)

    def _draw(self, step: tuple[float, float]) -> None:
        sigma, sigma_next = (torch.tensor(level, dtype=self._dtype) for level in step)
        self._drawn[step] = _threads().submit(
            lambda: _pin(self._increment(sigma, sigma_next), self._device)
        )

    def _increment(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        with self._mutex:  # a tree is no thread's alone
            return self._path(sigma, sigma_next)


def _on_host(shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Return a tensor of this shape and dtype on the CPU, which takes no memory."""
    return torch.zeros((), dtype=dtype).expand(shape)


def _pin(noise: Tensor, device: torch.device) -> Tensor:
    """Copy noise to memory that the device reads in the background."""
    place = pinned_bytes(noise.numel() * noise.itemsize, device)
    return place.view(noise.dtype).view(noise.shape).copy_(noise)


@cache
def _threads() -> ThreadPoolExecutor:
    """Return the threads that draw, for all runs of the process."""
    return ThreadPoolExecutor(2, thread_name_prefix="noise")
