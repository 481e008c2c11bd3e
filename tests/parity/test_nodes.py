"""Image and latent nodes against the reference numbers."""

import pytest
import torch

from nodes.builtin.editing.composite import image_composite_masked
from nodes.builtin.editing.masks import feather_mask, grow_mask, invert_mask, mask_composite
from nodes.builtin.image.batches import image_batch
from nodes.builtin.image.images import image_scale, image_scale_by
from nodes.builtin.image.transforms import image_pad_for_outpaint
from nodes.builtin.latent.arithmetic import latent_blend
from nodes.builtin.latent.latents import (
    latent_from_batch,
    latent_upscale,
    latent_upscale_by,
    repeat_latent_batch,
)
from nodes.builtin.latent.transforms import (
    latent_composite,
    latent_crop,
    latent_flip,
    latent_rotate,
)
from nodes.values import Latent
from tests.nodes.pictures import grid, picture, untouched
from tests.nodes.reference import tensors

TOLERANCE = 1e-5
IMAGE_METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
LATENT_METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]
CROPS = ["disabled", "center"]


def same(found, key):
    expected = tensors("nodes")[key]
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= TOLERANCE


def latents():
    return grid((2, 4, 12, 20), 0.21)


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("method", IMAGE_METHODS)
def test_image_scale_equals_the_reference(method, crop):
    image = picture()

    with untouched(image):
        scaled = image_scale(image=image, upscale_method=method, width=32, height=32, crop=crop)

    same(scaled, f"ImageScale/{method}/{crop}")


@pytest.mark.parametrize("method", IMAGE_METHODS)
def test_image_scale_by_equals_the_reference(method):
    same(image_scale_by(picture(), method, 1.5), f"ImageScaleBy/{method}")


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("method", LATENT_METHODS)
def test_latent_upscale_equals_the_reference(method, crop):
    samples = Latent(latents())

    with untouched(samples.samples):
        scaled = latent_upscale(
            samples=samples, upscale_method=method, width=128, height=128, crop=crop
        )

    same(scaled.samples, f"LatentUpscale/{method}/{crop}")


@pytest.mark.parametrize("method", LATENT_METHODS)
def test_latent_upscale_by_equals_the_reference(method):
    scaled = latent_upscale_by(Latent(latents()), method, 1.5)

    same(scaled.samples, f"LatentUpscaleBy/{method}")


def test_repeated_latents_equal_the_reference_and_take_further_noise():
    repeated = repeat_latent_batch(Latent(latents(), batch_index=(3, 5)), 2)

    same(repeated.samples, "RepeatLatentBatch/samples")
    assert repeated.batch_index == (3, 5, 6, 8)


def test_a_latent_out_of_a_batch_equals_the_reference_and_keeps_its_noise():
    chosen = latent_from_batch(Latent(latents()), 1, 1)

    same(chosen.samples, "LatentFromBatch/samples")
    assert chosen.batch_index == (1,)
    assert torch.equal(chosen.samples, latents()[1:])


def mask():
    return (grid((1, 24, 40), 0.05) > 0).float()


@pytest.mark.parametrize("operation", ["multiply", "add", "subtract", "and", "or", "xor"])
def test_mask_composite_equals_the_reference(operation):
    patch = grid((1, 10, 12), 0.2).abs()

    composed = mask_composite(destination=mask(), source=patch, x=5, y=7, operation=operation)

    same(composed, f"MaskComposite/{operation}")


def test_invert_mask_equals_the_reference():
    same(invert_mask(mask()), "InvertMask")


@pytest.mark.parametrize(("expand", "tapered"), [(3, True), (-2, False)])
def test_grow_mask_equals_the_reference(expand, tapered):
    masks = mask()

    with untouched(masks):
        grown = grow_mask(masks, expand, tapered)

    same(grown, f"GrowMask{expand:+d}")


def test_feather_mask_equals_the_reference():
    masks = mask()

    with untouched(masks):
        feathered = feather_mask(masks, 4, 3, 2, 6)

    same(feathered, "FeatherMask")


def test_image_batch_equals_the_reference():
    same(image_batch(picture(), patch()), "ImageBatch")


def test_image_composite_masked_equals_the_reference():
    below, above, shown = picture(), patch(), grid((1, 8, 8), 0.5).abs()

    with untouched(below, above, shown):
        composed = image_composite_masked(below, above, 30, 10, mask=shown)

    same(composed, "ImageCompositeMasked")


def test_image_pad_for_outpaint_equals_the_reference():
    padded = image_pad_for_outpaint(picture()[:1], 8, 0, 16, 8, 10)

    same(padded.image, "ImagePadForOutpaint/image")
    same(padded.mask, "ImagePadForOutpaint/mask")


def test_latent_composite_equals_the_reference():
    """It was made with the feather of 0 that a call by position leaves."""
    below, above = Latent(latents()), Latent(grid((2, 4, 6, 8), 0.4))

    with untouched(below.samples, above.samples):
        composed = latent_composite(below, above, 16, 24)

    same(composed.samples, "LatentComposite")


def test_latent_blend_equals_the_reference():
    blended = latent_blend(Latent(latents()), Latent(grid((2, 4, 6, 8), 0.4)), 0.3)

    same(blended.samples, "LatentBlend")


def test_cropped_and_turned_latents_equal_the_reference():
    samples = Latent(latents())

    same(latent_crop(samples, 64, 64, 32, 16).samples, "LatentCrop")
    same(latent_flip(samples, "x-axis: vertically").samples, "LatentFlipX")
    same(latent_rotate(samples, "90 degrees").samples, "LatentRotate90")


def patch():
    return grid((1, 16, 16, 3), 0.3) * 0.5 + 0.5
