"""Predictions of depth, normals and colours as pictures."""

import pytest
import torch

from nodes.builtin.image.predictions import marigold_v2_post_process


def test_near_is_white_and_far_is_black_in_each_picture():
    depths = torch.tensor([[0.2, 0.3], [0.4, 0.6]]).reshape(1, 2, 2, 1).expand(1, 2, 2, 3)

    seen = marigold_v2_post_process(torch.cat([depths, depths / 2]), "depth")

    assert seen.shape == (2, 2, 2, 3)
    assert torch.allclose(seen[..., 0].flatten(1), torch.tensor([1.0, 0.75, 0.5, 0.0]))


def test_a_flat_depth_has_no_far_point():
    assert marigold_v2_post_process(torch.full((1, 2, 2, 3), 0.5), "depth").abs().max() == 0


def test_normals_have_the_length_one():
    seen = marigold_v2_post_process(torch.tensor([0.5, 0.5, 0.8]).expand(1, 1, 1, 3), "normals")

    assert torch.allclose(seen.flatten(), torch.tensor([0.5, 0.5, 1.0]))


@pytest.mark.parametrize(("linear", "srgb"), [(0.0, 0.0), (0.002, 0.02584), (0.5, 0.73536), (1, 1)])
def test_linear_colours_become_srgb(linear, srgb):
    seen = marigold_v2_post_process(torch.full((1, 1, 1, 3), float(linear)), "albedo")

    assert seen.flatten().tolist() == pytest.approx([srgb] * 3, abs=1e-4)
