"""Noise that is drawn ahead for the simulated device: the same bits, by another thread."""

import threading
from itertools import pairwise

import pytest
import torch

from nodes.sampling.noise_schedule import noise_ahead as module
from nodes.sampling.noise_schedule.noise import noise_source
from nodes.sampling.noise_schedule.noise_ahead import noise_ahead

SIGMAS = torch.tensor([14.6, 9.1, 5.0, 2.5, 1.2, 0.4, 0.03, 0.0])
SHAPE = (2, 4, 6, 8)


@pytest.mark.parametrize("seeds", [7, (3, 2**64 - 1)])
def test_white_noise_is_that_of_the_seed(simulated, seeds):
    plain, ahead = noise_source(seeds), noise_ahead(seeds, SIGMAS, simulated.device)
    x = torch.zeros(SHAPE)
    smaller = torch.zeros(2, 4, 3, 3, dtype=torch.float64)

    for latent in (x, x, x, smaller, x, smaller, smaller):
        drawn = ahead.white(latent.to(simulated.device))
        assert drawn.device == simulated.device
        assert torch.equal(drawn.cpu(), plain.white(latent))


@pytest.mark.parametrize("seeds", [7, (3, 5)])
def test_a_brownian_path_is_that_of_the_seed_in_any_order(simulated, seeds):
    x = torch.zeros(SHAPE)
    low, high = 0.03, 14.6
    plain = noise_source(seeds).brownian(x, low, high)
    ahead = noise_ahead(seeds, SIGMAS, simulated.device).brownian(x.to(simulated.device), low, high)
    middle = torch.tensor(3.3)
    steps = [(0, 1), (1, 2), (2, middle), (2, 3), (4, 5), (3, 4), (5, 6)]

    for first, last in steps:
        ends = SIGMAS[first], last if isinstance(last, torch.Tensor) else SIGMAS[last]
        assert torch.equal(ahead(*ends).cpu(), plain(*ends))


def test_the_thread_that_samples_draws_only_what_nobody_could_know(simulated, monkeypatch):
    drew: list[bool] = []
    me = threading.get_ident()

    class Watched:
        """The source, which notes if this thread draws."""

        def __init__(self, seeds):
            self.source = noise_source(seeds)

        def white(self, x):
            drew.append(threading.get_ident() == me)
            return self.source.white(x)

        def brownian(self, x, low, high):
            path = self.source.brownian(x, low, high)

            def increment(*ends):
                drew.append(threading.get_ident() == me)
                return path(*ends)

            return increment

    monkeypatch.setattr(module, "noise_source", Watched)
    x = torch.zeros(SHAPE, device=simulated.device)
    source = noise_ahead(1, SIGMAS, simulated.device)

    for _ in range(5):
        source.white(x)
    assert drew[:5] == [True, False, False, False, False]

    drew.clear()
    path = source.brownian(x, 0.03, 14.6)
    for ends in pairwise(SIGMAS[:-1]):
        path(*ends)
    assert not any(drew)


def test_the_processor_draws_as_it_always_did():
    assert type(noise_ahead(1, SIGMAS, torch.device("cpu"))) is type(noise_source(1))
