"""Noise against the reference numbers, and what samplers rely on."""

import pytest
import torch

from nodes.sampling.noise_schedule.noise import SeededNoise, initial_noise
from tests.nodes.reference import tensors


@pytest.mark.parametrize("key", tensors("noise"))
def test_initial_noise_equals_the_reference_exactly(key: str) -> None:
    """Keys read seed42_b3_4x8x8 or seed42_b3_inds_1_1_4."""
    expected = tensors("noise")[key]
    seed, _, *rest = key.removeprefix("seed").split("_")
    batch_index = [int(i) for i in rest[1:]] if rest[0] == "inds" else None

    assert torch.equal(initial_noise(expected.shape, int(seed), batch_index), expected)


def test_white_noise_begins_with_the_initial_noise_and_goes_on() -> None:
    x = torch.zeros(2, 4, 8, 8)
    source = SeededNoise(7)

    first, second = source.white(x), source.white(x)

    assert torch.equal(first, initial_noise(x.shape, 7))
    assert not torch.equal(first, second)


def test_brownian_increments_add_up_and_have_unit_variance() -> None:
    x = torch.zeros(1, 4, 32, 32)
    path = SeededNoise(7).brownian(x, 0.1, 10.0)
    low, middle, high = torch.tensor([0.1, 2.0, 10.0])

    whole = path(high, low) * (high - low).sqrt()
    parts = path(high, middle) * (high - middle).sqrt() + path(middle, low) * (middle - low).sqrt()

    assert torch.allclose(whole, parts, atol=1e-5)
    assert float(path(high, low).std()) == pytest.approx(1.0, abs=0.05)
    assert torch.equal(path(high, low), -path(low, high))
