"""Operations on latents against what they promise, and on the guidance of a model."""

import pytest
import torch

from nodes.builtin.latent.operations import (
    GuidanceOperation,
    latent_apply_operation,
    latent_apply_operation_cfg,
    latent_operation_sharpen,
    latent_operation_tonemap_reinhard,
)
from nodes.sampling.guidance.rules import GuidanceInputs
from nodes.values import Latent
from tests.nodes.pictures import grid, untouched
from tests.tiny_models.samplable import samplable


def test_an_even_latent_is_as_sharp_as_can_be():
    even = Latent(torch.ones(1, 4, 6, 5) * torch.tensor([1.0, -2.0, 3.0, 0.5]).view(1, 4, 1, 1))

    sharp = latent_apply_operation(even, latent_operation_sharpen(3, 1.0, 1.0))

    torch.testing.assert_close(sharp.samples, even.samples)


def test_sharpening_turns_vectors_away_from_their_neighbours_mean():
    """One of the channels changes sign at an edge: beside it, the step grows."""
    samples = torch.ones(1, 2, 1, 8)
    samples[:, 1, :, 4:] = -1

    sharp = latent_apply_operation(Latent(samples), latent_operation_sharpen(2, 1.0, 0.1)).samples

    edge = sharp[0, 1, 0]
    assert edge[3] > edge[0] == pytest.approx(1.0)
    assert edge[4] < edge[7] == pytest.approx(-1.0)
    torch.testing.assert_close(sharp[:, 0], samples[:, 0])


def test_no_strength_and_no_noise_change_nothing():
    latent = Latent(grid((2, 4, 6, 5), 0.4))

    same = latent_apply_operation(latent, latent_operation_sharpen(9, 1.0, 0.0))

    torch.testing.assert_close(same.samples, latent.samples)


def test_long_vectors_are_shortened_the_most_and_keep_their_direction():
    latent = Latent(grid((1, 4, 6, 5), 0.4))

    with untouched(latent.samples):
        mapped = latent_apply_operation(latent, latent_operation_tonemap_reinhard()).samples

    before, after = latent.samples.norm(dim=1), mapped.norm(dim=1)
    white = before.mean() + 3 * before.std()
    torch.testing.assert_close(after, before * white / (white + before))
    torch.testing.assert_close(mapped / after, latent.samples / before)


def test_the_guidance_is_what_the_operation_works_on(tmp_path):
    x, cond, uncond = torch.randn(3, 1, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    operation = latent_operation_tonemap_reinhard(0.5)
    terms = GuidanceInputs(x, torch.tensor(1.0), cond, uncond, 3.0)

    prepared = GuidanceOperation(operation)(terms)

    torch.testing.assert_close(prepared.cond, uncond + operation.apply(cond - uncond))
    model = samplable(tmp_path).model
    changed = latent_apply_operation_cfg(model, operation)
    assert changed.guidance.pre_cfg == (GuidanceOperation(operation),)
    assert model.guidance.pre_cfg == ()
