"""Every node that computes with latents does to each layer what it does to a latent alone."""

import pytest
import torch

from nodes.builtin.latent.arithmetic import (
    latent_add,
    latent_blend,
    latent_interpolate,
    latent_multiply,
    latent_subtract,
)
from nodes.builtin.latent.batches import (
    latent_batch,
    latent_batch_seed_behavior,
    latent_cut_to_batch,
    rebatch_latents,
)
from nodes.builtin.latent.errors import LatentMismatchError
from nodes.builtin.latent.latents import (
    latent_from_batch,
    latent_upscale,
    latent_upscale_by,
    repeat_latent_batch,
)
from nodes.builtin.latent.operations import (
    latent_apply_operation,
    latent_operation_sharpen,
    latent_operation_tonemap_reinhard,
)
from nodes.builtin.latent.transforms import (
    latent_composite,
    latent_composite_masked,
    latent_concat,
    latent_crop,
    latent_cut,
    latent_flip,
    latent_rotate,
)
from nodes.values import Latent

MASK = torch.linspace(0, 1, 96 * 128).reshape(1, 96, 128)


def upscaled(latent):
    return latent_upscale(
        samples=latent, upscale_method="area", width=192, height=160, crop="center"
    )


NODES = {
    "add": latent_add,
    "subtract": latent_subtract,
    "interpolate": lambda one, two: latent_interpolate(one, two, 0.3),
    "blend": lambda one, two: latent_blend(one, two, 0.3),
    "batch": latent_batch,
    "composite": lambda one, two: latent_composite(one, two, 16, 8, 16),
    "composite_masked": lambda one, two: latent_composite_masked(one, two, 16, 8, mask=MASK),
    "composite_resized": lambda one, two: latent_composite_masked(
        one, two, 8, 0, resize_source=True, mask=MASK
    ),
    "concat": lambda one, _: latent_concat(one, one, "x"),
    "multiply": lambda one, _: latent_multiply(one, 0.3),
    "seed_behavior": lambda one, _: latent_batch_seed_behavior(one),
    "cut_to_batch": lambda one, _: latent_cut_to_batch(one, "x", 4),
    "rebatch": lambda one, _: rebatch_latents([one], [1])[1],
    "crop": lambda one, _: latent_crop(one, 64, 64, 16, 8),
    "cut": lambda one, _: latent_cut(one, "y", 2, 5),
    "flip": lambda one, _: latent_flip(one, "x-axis: vertically"),
    "rotate": lambda one, _: latent_rotate(one, "90 degrees"),
    "upscale": lambda one, _: upscaled(one),
    "upscale_by": lambda one, _: latent_upscale_by(one, "bislerp", 1.5),
    "repeat": lambda one, _: repeat_latent_batch(one, 2),
    "from_batch": lambda one, _: latent_from_batch(one, 1),
    "sharpen": lambda one, _: latent_apply_operation(one, latent_operation_sharpen()),
    "tonemap": lambda one, _: latent_apply_operation(one, latent_operation_tonemap_reinhard()),
}
"""By name: each gets a batch of two, and one latent of another size."""


def drawn(seed, batch, height, width, layers):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 16, layers, height, width, generator=generator)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("name", NODES)
def test_each_layer_is_as_a_latent_alone(name, layers):
    one, two = drawn(1, 2, 12, 16, layers), drawn(2, 1, 6, 10, layers)

    found = NODES[name](Latent(one), Latent(two)).samples

    alone = [
        NODES[name](Latent(one[:, :, layer]), Latent(two[:, :, layer])).samples
        for layer in range(layers)
    ]
    torch.testing.assert_close(found, torch.stack(alone, dim=2), rtol=0, atol=1e-6)


@pytest.mark.parametrize("node", [latent_add, latent_batch, latent_composite])
def test_a_latent_without_layers_is_as_one_with_a_single_one(node):
    stacked, flat = drawn(1, 1, 12, 16, 1), drawn(2, 1, 6, 10, 1)

    found = node(Latent(stacked), Latent(flat[:, :, 0])).samples
    other = node(Latent(stacked[:, :, 0]), Latent(flat)).samples

    assert torch.equal(found, node(Latent(stacked), Latent(flat)).samples)
    assert torch.equal(other, found[:, :, 0])


@pytest.mark.parametrize("node", [latent_add, latent_batch, latent_composite])
def test_other_numbers_of_layers_are_told(node):
    three, two = Latent(drawn(1, 1, 12, 16, 3)), Latent(drawn(2, 1, 12, 16, 2))
    flat = Latent(three.samples[:, :, 0])

    for to, other in ((three, two), (flat, two)):
        with pytest.raises(LatentMismatchError, match="differ in their layers"):
            node(to, other)
    assert node(three, flat).samples.shape[2:] == three.samples.shape[2:]
