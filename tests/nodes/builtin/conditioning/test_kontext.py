"""FLUX.1 Kontext looks at pictures: which patches it sees, and where they are."""

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from nodes.builtin.conditioning.flux import (
    flux_kontext_image_scale,
    flux_kontext_multi_reference_latent_method,
    reference_latent,
    reference_multi_latent,
)
from nodes.builtin.latent.vae import vae_encode
from nodes.builtin.sampling.ksampler import ksampler
from nodes.models.loading.forward import denoise, prepare
from nodes.models.loading.handles import ModelHandle, VaeHandle
from nodes.models.networks.base.errors import ChannelMismatchError
from nodes.models.networks.base.reference_latents import name_references, patches
from nodes.values import REFERENCES, Cond, CondBatch, Conditioning, Latent
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import small_flux, small_sd15, write
from tests.tiny_models.handles import opened


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = write(tmp_path_factory.mktemp("models") / "a.safetensors", small_flux())
    return ModelHandle(opened(path).model)


@pytest.fixture
def prompt():
    return Conditioning((Cond(noise(1, 5, 64, seed=1), torch.ones(1, 64)),))


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def told(model, conditioning, x):
    (cond,) = conditioning.conds
    cond = prepare(model, cond, (x.shape[-2], x.shape[-1]))
    return CondBatch(cond.tokens, cond.pooled, cond.extras)


def cut(latent):
    """[1, c, h, w] to [1, patches, c * 4], and the patches' (row, column)."""
    columns = latent.shape[-1] // 2
    pieces = torch.nn.functional.unfold(latent, 2, stride=2).transpose(1, 2)
    places = [(n // columns, n % columns) for n in range(pieces.shape[1])]
    return pieces, torch.tensor(places).float()


def test_the_network_sees_the_references_patches_beside_its_own(model, prompt):
    x, shown = noise(1, 16, 4, 6), noise(1, 16, 6, 2, seed=2)
    cond = told(model, reference_latent(prompt, Latent(shown)), x)

    found = denoise(model, x, torch.ones(1), cond)

    own, places = cut(x)
    other, more = cut((shown - 0.1159) * 0.3611)
    ids = torch.cat(
        [torch.nn.functional.pad(p, (1, 0), value=n) for n, p in enumerate([places, more])]
    )
    (velocity,) = cast("Any", model.model.network.module())(
        torch.cat([own, other], dim=1),
        cond.tokens,
        cond.pooled,
        torch.ones(1),
        img_ids=ids,
        txt_ids=torch.zeros(5, 3),
        guidance=torch.tensor([3.5]),
        return_dict=False,
    )
    whole = torch.nn.functional.fold(velocity[:, :6].transpose(1, 2), (4, 6), 2, stride=2)
    torch.testing.assert_close(found, x - whole)
    assert not torch.equal(found, denoise(model, x, torch.ones(1), told(model, prompt, x)))


def test_what_steers_the_picture_leaves_its_references_alone(model, prompt):
    x, shown = noise(1, 16, 4, 6), noise(1, 16, 6, 2, seed=2)
    cond = told(model, reference_latent(prompt, Latent(shown)), x)
    nothing = {part: (torch.zeros(1, 6, 64),) for part in ("double", "single")}
    something = {part: (torch.ones(1, 6, 64),) for part in ("double", "single")}

    plain, same, other = (
        denoise(model, x, torch.ones(1), replace(cond, residuals=residuals))
        for residuals in ({}, nothing, something)
    )

    assert torch.equal(plain, same)
    assert not torch.equal(plain, other)


@pytest.mark.parametrize(
    ("method", "starts"),
    [
        (None, [(1, 0, 0), (1, 0, 2), (1, 3, 0)]),
        ("offset", [(1, 0, 0), (1, 0, 2), (1, 3, 0)]),
        ("index", [(1, 0, 0), (2, 0, 0), (3, 0, 0)]),
        ("uxo/uno", [(0, 2, 4), (0, 5, 6), (0, 8, 8)]),
    ],
)
def test_several_references_are_told_apart(prompt, method, starts):
    sizes = [(6, 4), (6, 4), (1, 8)]
    for height, width in sizes:
        prompt = reference_latent(prompt, Latent(torch.zeros(1, 16, height, width)))
    if method:
        prompt = flux_kontext_multi_reference_latent_method(prompt, method)

    extras = cast("dict[str, Tensor]", name_references(prompt.conds[0].extras))
    shown, places = patches(extras, torch.zeros(1, 16, 4, 8))

    assert [tuple(place[0].tolist()) for place in places] == starts
    assert [patch.shape for patch in shown] == [(1, 6, 64), (1, 6, 64), (1, 4, 64)]
    assert [len(place) for place in places] == [6, 6, 4]


def test_only_the_side_that_has_a_reference_looks_at_it(model, prompt, tmp_path):
    shown = reference_latent(prompt, Latent(noise(1, 16, 4, 4, seed=2)))
    latent = Latent(torch.zeros(2, 16, 4, 4))

    def made(positive, negative):
        return ksampler(
            model=model,
            seed=1,
            steps=2,
            cfg=3.0,
            sampler_name="euler",
            scheduler="simple",
            positive=positive,
            negative=negative,
            latent_image=latent,
            ctx=Bench(tmp_path),
        ).samples

    one, other, both = made(shown, prompt), made(prompt, shown), made(shown, shown)

    assert not torch.equal(one, other)
    assert not torch.equal(one, both)
    assert not torch.equal(both, made(prompt, prompt))


def test_a_reference_of_another_family_is_refused(model, prompt):
    shown = reference_latent(prompt, Latent(torch.zeros(1, 4, 4, 4)))

    with pytest.raises(
        ChannelMismatchError, match="reference latent has 4 channels, this model reads 16"
    ):
        prepare(model, shown.conds[0], (4, 4))


def test_without_a_latent_nothing_is_added(prompt):
    assert reference_latent(prompt) is prompt
    assert REFERENCES not in prompt.conds[0].extras


@pytest.mark.parametrize(
    ("size", "scaled"),
    [((64, 64), (1024, 1024)), ((300, 100), (1568, 672)), ((90, 160), (752, 1392))],
)
def test_a_picture_is_scaled_to_a_size_of_the_training(size, scaled):
    width, height = size

    found = flux_kontext_image_scale(torch.rand(1, height, width, 3))

    assert found.shape == (1, scaled[1], scaled[0], 3)


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    path = write(tmp_path_factory.mktemp("models") / "b.safetensors", small_sd15())
    return VaeHandle(opened(path).vae)


def test_several_images_are_references_in_their_order(vae, prompt, tmp_path, run_node):
    first, second = torch.rand(1, 16, 24, 3), torch.rand(1, 32, 16, 4)
    images = {"image0": first, "image3": second}

    made = run_node(reference_multi_latent, positive=prompt, vae=vae, images=images)

    positive, negative, empty = made.values
    expected = [vae_encode(image, vae, Bench(tmp_path)).samples for image in (first, second)]
    found = cast("tuple[Tensor, ...]", positive.conds[0].extras[REFERENCES])
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert negative is positive
    assert empty.samples.shape == expected[0].shape
    assert not empty.samples.any()


def test_references_are_scaled_and_added_to_both_prompts(vae, prompt, run_node):
    other = reference_latent(prompt, Latent(torch.zeros(1, 4, 2, 2)))
    resolution = {"resolution": "resize", "megapixels": 0.01}
    images = {"image0": torch.rand(1, 10, 40, 3)}

    made = run_node(
        reference_multi_latent,
        positive=prompt,
        negative=other,
        vae=vae,
        resolution=resolution,
        images=images,
    )

    positive, negative, empty = made.values
    assert empty.samples.shape == (1, 4, 6, 25)
    assert [
        len(cast("Any", each.conds[0].extras[REFERENCES])) for each in (positive, negative)
    ] == [1, 2]


def test_without_images_nothing_is_added(vae, prompt, run_node):
    alone = run_node(reference_multi_latent, positive=prompt, vae=vae).values
    no_vae = run_node(
        reference_multi_latent,
        positive=prompt,
        images={"image0": torch.rand(1, 16, 16, 3)},
        resolution={"resolution": "resize", "megapixels": 0.25},
    ).values

    assert alone[0] is alone[1] is prompt
    assert alone[2].samples.shape == (1, 16, 128, 128)
    assert no_vae[2].samples.shape == (1, 16, 64, 64)
