"""Models that read a picture beside the latent: inpainting, instructions, edges and depth."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.conditioning.inpaint import (
    inpaint_model_conditioning,
    instruct_pix_to_pix_conditioning,
)
from nodes.builtin.latent.vae import vae_encode, vae_encode_for_inpaint
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.builtin.sampling.ksampler import ksampler
from nodes.models.loading.checkpoint import open_model, open_vae
from nodes.models.loading.forward import denoise, prepare
from nodes.models.loading.handles import ModelHandle, VaeHandle
from nodes.models.networks.base.errors import (
    ChannelMismatchError,
    MissingInputError,
    UnknownConcatError,
)
from nodes.models.networks.base.patchify import patchify, positions, unpatchify
from nodes.sampling.conditioning.regions import resolve
from nodes.sampling.guidance.loop import Request, noise_for, sample
from nodes.sampling.guidance.planner import GuidancePlanner
from nodes.sampling.samplers.registry import Call
from nodes.values import Area, ConcatLatent, Cond, CondBatch, Conditioning, Latent
from tests.nodes.bench import Bench
from tests.nodes.pictures import untouched
from tests.tiny_models.checkpoints import (
    lora,
    small_ae16,
    small_flux,
    small_sd15,
    small_sd21,
    small_sdxl,
    write,
)
from tests.tiny_models.handles import in_run, opened

PICTURE = torch.rand(1, 35, 48, 3, generator=torch.Generator().manual_seed(1))
MASK = torch.zeros(1, 35, 48)
MASK[:, 8:24, 14:34] = 1
CROPPED, CUT = PICTURE[:, 1:33], MASK[:, 1:33]
"""What is left of them: the middle, with sides that are multiples of 8."""
SIGMA = torch.tensor([2.0])
U_NETS = {"sd15": (small_sd15, 64), "sd2": (small_sd21, 64), "sdxl": (small_sdxl, 128)}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@cache
def checkpoint(folder, family, channels):
    tensors = U_NETS[family][0](channels=channels)
    return opened(write(folder / f"{family}-{channels}.safetensors", tensors))


def u_net(folder, family="sd15", channels=9):
    found = checkpoint(folder, family, channels)
    return ModelHandle(found.model), VaeHandle(found.vae)


@cache
def flux(folder, channels):
    path = write(folder / f"flux-{channels}.safetensors", small_flux(channels=channels))
    vae = write(folder / "ae.safetensors", small_ae16())
    return ModelHandle(open_model(path, f"flux{channels}", ModelPool())), VaeHandle(
        open_vae(vae, "ae16", ModelPool())
    )


def side(wide=64):
    tokens = torch.linspace(-1, 1, 7 * wide).reshape(1, 7, wide)
    return Conditioning((Cond(tokens, torch.linspace(0, 1, 64)[None]),))


def x_of(channels, batch=1):
    return torch.linspace(-2, 2, batch * channels * 24).reshape(batch, channels, 4, 6)


def predict(model, cond, x):
    ready = prepare(model, cond, (x.shape[-2], x.shape[-1]))
    batch = CondBatch(ready.tokens, ready.pooled, ready.extras, concat_input=ready.concat_input)
    return denoise(model, x, SIGMA, batch)


@torch.no_grad()
def by_unet(model, x, beside, cond):
    """Through the network alone, as diffusers' pipelines do it."""
    facts, module = model.parameterization, model.model.network.module()
    inputs = torch.cat([facts.scale_input(x, SIGMA), beside], dim=1)
    added = {"text_embeds": cond.pooled, "time_ids": torch.tensor([[32.0, 48, 0, 0, 32, 48]])}
    (output,) = module(
        inputs, facts.timestep(SIGMA), cond.tokens, added_cond_kwargs=added, return_dict=False
    )
    return facts.to_x0(x, SIGMA, output)


@torch.no_grad()
def by_flux(model, x, beside, cond):
    facts, module = model.parameterization, model.model.network.module(model.patches)
    (output,) = module(
        torch.cat([patchify(x), *map(patchify, beside)], dim=2), cond.tokens, cond.pooled,
        facts.timestep(SIGMA), img_ids=positions(x), txt_ids=torch.zeros(7, 3),
        guidance=torch.tensor([3.5]), return_dict=False,
    )  # fmt: skip
    return facts.to_x0(x, SIGMA, unpatchify(output, 4))


def grey(picture=CROPPED, mask=CUT):
    return (picture - 0.5) * (1 - mask[..., None]) + 0.5


def latent_of(vae, picture):
    return vae.encode(picture.movedim(-1, 1))


@pytest.mark.parametrize("family", U_NETS)
def test_a_unet_reads_mask_and_masked_picture(folder, bench, family):
    (model, vae), wide = u_net(folder, family), U_NETS[family][1]

    made = inpaint_model_conditioning(side(wide), side(wide), vae, PICTURE, MASK, ctx=bench)

    cond, x = made.positive.conds[0], x_of(4)
    small = torch.nn.functional.interpolate(CUT[None], size=(4, 6), mode="bilinear").round()
    masked = model.latent_format.to_model(latent_of(vae, grey()))
    expected = by_unet(model, x, torch.cat([small, masked], dim=1), cond)
    found = predict(model, cond, x)
    assert (found - expected).abs().max() <= 1e-5 * expected.std()
    elsewhere = inpaint_model_conditioning(
        side(wide), side(wide), vae, PICTURE, 1 - MASK, ctx=bench
    )
    assert not torch.allclose(found, predict(model, elsewhere.negative.conds[0], x), atol=1e-3)


def test_the_latent_is_the_whole_pictures(folder, bench):
    _, vae = u_net(folder)

    def made(**more):
        return inpaint_model_conditioning(side(), side(), vae, PICTURE, MASK, ctx=bench, **more)

    latent = made().latent
    assert torch.equal(latent.samples, latent_of(vae, CROPPED))
    assert latent.noise_mask is not None
    assert torch.equal(latent.noise_mask, CUT[None])
    assert made(noise_mask=False).latent.noise_mask is None


def test_a_latents_own_mask_will_do(folder, bench):
    """VAEEncodeForInpaint with a model for inpainting, without a conditioning node."""
    model, vae = u_net(folder)
    latent = vae_encode_for_inpaint(CROPPED, vae, CUT, bench, grow_mask_by=0)
    made = inpaint_model_conditioning(side(), side(), vae, PICTURE, MASK, ctx=bench)

    def run(positive, negative):
        common: dict[str, Any] = {"steps": 2, "cfg": 3.0, "sampler_name": "euler", "seed": 1}
        return ksampler(
            model=model, positive=positive, negative=negative, latent_image=latent,
            scheduler="normal", ctx=bench, **common,
        ).samples  # fmt: skip

    assert torch.allclose(run(side(), side()), run(made.positive, made.negative), atol=1e-4)


@pytest.mark.parametrize("family", U_NETS)
def test_a_model_that_follows_instructions_reads_the_picture_unscaled(folder, bench, family):
    (model, vae), wide = u_net(folder, family, 8), U_NETS[family][1]

    made = instruct_pix_to_pix_conditioning(side(wide), side(wide), vae, PICTURE, bench)

    cond, x = made.positive.conds[0], x_of(4)
    expected = by_unet(model, x, latent_of(vae, CROPPED), cond)
    found = predict(model, cond, x)
    assert (found - expected).abs().max() <= 1e-5 * expected.std()
    assert torch.equal(made.latent.samples, torch.zeros(1, 4, 4, 6))


def test_flux_fill_reads_masked_picture_and_mask(folder, bench):
    model, vae = flux(folder, 384)

    made = inpaint_model_conditioning(side(), side(), vae, PICTURE, MASK, ctx=bench)

    cond, x = made.positive.conds[0], x_of(16)
    masked = model.latent_format.to_model(latent_of(vae, grey()))
    cells = CUT.view(1, 4, 8, 6, 8).permute(0, 2, 4, 1, 3).reshape(1, 64, 4, 6)
    expected = by_flux(model, x, [masked, cells], cond)
    found = predict(model, cond, x)
    assert (found - expected).abs().max() <= 1e-5 * expected.std()


def test_a_unet_that_is_given_no_picture_reads_grey_and_a_full_mask(folder):
    model, _ = u_net(folder)
    cond, x = side().conds[0], x_of(4)
    grey = torch.tensor([0.8223, -0.6876, 0.6364, 0.1380]).view(1, 4, 1, 1)

    found = predict(model, cond, x)

    given = torch.cat([torch.ones(1, 1, 4, 6), grey.expand(1, 4, 4, 6)], dim=1)
    expected = by_unet(model, x, given, cond)
    assert (found - expected).abs().max() <= 1e-5 * expected.std()


def test_flux_fill_that_is_given_no_picture_reads_zeros_and_a_full_mask(folder):
    model, _ = flux(folder, 384)
    cond, x = side().conds[0], x_of(16)

    found = predict(model, cond, x)

    empty = model.latent_format.to_model(torch.zeros(1, 16, 4, 6))
    expected = by_flux(model, x, [empty, torch.ones(1, 64, 4, 6)], cond)
    assert (found - expected).abs().max() <= 1e-5 * expected.std()


def test_flux_canny_reads_the_picture(folder, bench):
    model, vae = flux(folder, 128)

    made = instruct_pix_to_pix_conditioning(side(), side(), vae, PICTURE, bench)

    cond, x = made.positive.conds[0], x_of(16)
    picture = model.latent_format.to_model(latent_of(vae, CROPPED))
    expected = by_flux(model, x, [picture], cond)
    assert (predict(model, cond, x) - expected).abs().max() <= 1e-5 * expected.std()


def test_a_lora_can_make_flux_read_a_picture(folder, bench):
    model, vae = flux(folder, 64)
    keys = {"diffusion_model.img_in": (64, 128)}
    write(bench.root / "models/loras/l.safetensors", lora(1, keys))
    grown = lora_loader_model_only(model, "l.safetensors", bench, 1.0)

    made = instruct_pix_to_pix_conditioning(side(), side(), vae, PICTURE, bench)

    cond, x = made.positive.conds[0], x_of(16)
    picture = grown.latent_format.to_model(latent_of(vae, CROPPED))
    expected = by_flux(grown, x, [picture], cond)
    assert (predict(grown, cond, x) - expected).abs().max() <= 1e-5 * expected.std()
    assert not torch.allclose(expected, predict(model, cond, x), atol=1e-3)


def test_latents_with_odd_sides_are_padded(folder):
    model, _ = flux(folder, 384)
    shown = ConcatLatent(torch.ones(1, 16, 3, 5), torch.ones(1, 1, 24, 40))

    cond = replace(side().conds[0], concat=shown)

    assert predict(model, cond, x_of(16)[..., :3, :5]).shape == (1, 16, 3, 5)


def test_what_is_shown_is_scaled_to_the_latent(folder, bench):
    model, vae = u_net(folder)
    large = inpaint_model_conditioning(side(), side(), vae, PICTURE, MASK, ctx=bench)

    ready = prepare(model, large.positive.conds[0], (2, 3))

    assert ready.concat_input is not None
    assert ready.concat_input.shape == (1, 5, 2, 3)


def test_a_condition_for_an_area_sees_its_part(folder):
    model, _ = u_net(folder)
    mask = torch.zeros(2, 1, 4, 6)
    mask[1] = 1
    shown = ConcatLatent(torch.rand(2, 4, 4, 6), mask)
    cond = replace(side().conds[0], area=Area(2, 3, 1, 2), concat=shown)
    facts = model.parameterization
    ready = [prepare(model, cond, (4, 6)), prepare(model, replace(cond, area=None), (4, 6))]
    resolved, _ = resolve(ready, [], (4, 6), facts)

    small, whole = GuidancePlanner(resolved, resolved, 1.0).plan(Call(x_of(4, 2), SIGMA, 0))

    assert small.cond.concat_input is not None
    assert whole.cond.concat_input is not None
    assert whole.cond.concat_input.shape == (2, 5, 4, 6)
    assert torch.equal(small.cond.concat_input, whole.cond.concat_input[..., 1:3, 2:5])
    assert torch.equal(whole.cond.concat_input[:, :1], mask)


def test_both_sides_and_all_samples_run_through_the_sampler(folder, bench):
    model, vae = u_net(folder)
    pictures = torch.cat([PICTURE, 1 - PICTURE])
    made = inpaint_model_conditioning(side(), side(), vae, pictures, MASK, ctx=bench)
    one = inpaint_model_conditioning(side(), side(), vae, 1 - PICTURE, MASK, ctx=bench)

    def run(made, latent):
        levels = torch.tensor([5.0, 1.0, 0.0])
        request = Request(
            denoiser=in_run(model), sampler="euler", sigmas=levels, seed=3, positive=made.positive,
            negative=made.negative, cfg=4.0,
        )  # fmt: skip
        return sample(request, latent, noise_for(latent, 3))

    both = run(made, made.latent)
    second = replace(one.latent, batch_index=(1,))

    assert torch.allclose(both[1:], run(one, second), atol=1e-3)


def test_nothing_is_changed(folder, bench):
    _, vae = u_net(folder)
    with untouched(PICTURE, MASK):
        inpaint_model_conditioning(side(), side(), vae, PICTURE, MASK, ctx=bench)
        instruct_pix_to_pix_conditioning(side(), side(), vae, PICTURE, bench)


def test_a_model_that_reads_no_picture_leaves_it_alone(folder, bench):
    model, vae = u_net(folder, channels=4)
    made = inpaint_model_conditioning(side(), side(), vae, PICTURE, MASK, ctx=bench)

    found = predict(model, made.positive.conds[0], x_of(4))

    assert torch.equal(found, predict(model, side().conds[0], x_of(4)))


def test_what_is_missing_is_an_error(folder, bench):
    model, vae = u_net(folder)
    edges, flux_vae = flux(folder, 128)
    picture = instruct_pix_to_pix_conditioning(side(), side(), vae, PICTURE, bench)
    other = inpaint_model_conditioning(side(), side(), flux_vae, PICTURE, MASK, ctx=bench)

    with pytest.raises(MissingInputError, match=r"reads an image beside the latent \(16 chan"):
        predict(edges, side().conds[0], x_of(16))
    with pytest.raises(MissingInputError, match="no mask is given"):
        predict(model, picture.positive.conds[0], x_of(4))
    with pytest.raises(
        ChannelMismatchError, match="image beside the latent has 16 channels, this model reads 4"
    ):
        predict(model, other.positive.conds[0], x_of(4))


def test_unknown_inputs_are_an_error(folder):
    model, _ = u_net(folder, channels=11)

    with pytest.raises(UnknownConcatError, match="reads 7 channels beside"):
        predict(model, side().conds[0], x_of(4))


def test_encoding_goes_through_the_same_latents(folder, bench):
    _, vae = u_net(folder)

    made = instruct_pix_to_pix_conditioning(side(), side(), vae, PICTURE, bench)

    shown = made.positive.conds[0].concat
    assert shown is not None
    encoded: Latent = vae_encode(PICTURE, vae, bench)
    assert torch.equal(shown.latent, encoded.samples)
