"""ControlNets for Z-Image give what they do in diffusers' pipeline, in each published version."""

import copy
import json
from typing import Any, cast

import pytest
import torch
from diffusers.models.controlnets.controlnet_z_image import ZImageControlNetModel
from diffusers.pipelines.z_image.pipeline_z_image_controlnet import ZImageControlNetPipeline
from diffusers.pipelines.z_image.pipeline_z_image_controlnet_inpaint import (
    ZImageControlNetInpaintPipeline,
)
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)

from nodes.builtin.model.checkpoints import unet_loader, vae_loader
from nodes.builtin.model.errors import UnreadMaskError
from nodes.builtin.model.model_patches import (
    model_patch_loader,
    qwen_image_diffsynth_controlnet,
    uso_style_reference,
    z_image_fun_controlnet,
)
from nodes.builtin.sampling.ksampler import ksampler
from nodes.models.families.adapters.style import model_patch_spec
from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.families.controlnets.spec import ControlSpec
from nodes.models.networks.base.errors import MissingInputError
from nodes.models.patches.errors import ModelMismatchError
from nodes.models.weights.header import read_header
from nodes.preflight import models as preflight
from nodes.sampling.samplers.registry import sigmas_for
from nodes.values import Cond, Conditioning, Latent
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import small_flux, write
from tests.tiny_models.control_networks import z_image_control
from tests.tiny_models.language_models import their_tokenizer
from tests.tiny_models.random_weights import Draw
from tests.tiny_models.whole_models import tiny_z_image

VERSIONS: dict[str, tuple[dict[str, Any], str | None]] = {
    "1": ({}, None),
    "2.0": ({"channels": 33, "steers": True, "trained": False}, "control_layers"),
    "2.1": ({"channels": 33, "steers": True}, "control_noise_refiner"),
}
PLACES = {"config": json.dumps({"z_image_controlnet": {"control_layers_places": [0, 1]}})}
"""The tiny transformer has two layers, of which no layer is left out."""


def tensors(version):
    draw = Draw(21)
    z_image_control(draw, **VERSIONS[version][0])
    return draw.tensors


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    tiny_z_image(bench.root / "models")
    for version in VERSIONS:
        path = bench.root / f"models/model_patches/{version}.safetensors"
        write(path, tensors(version), PLACES)
    return bench


@pytest.fixture(scope="module")
def model(bench):
    return unet_loader("z_image_turbo_bf16.safetensors", "default", bench)


@pytest.fixture(scope="module")
def vae(bench):
    return vae_loader("ae.safetensors", bench)


def picture():
    return torch.rand(1, 64, 48, 3, generator=torch.Generator().manual_seed(5))


def text(start):
    return Conditioning((Cond(torch.linspace(start, 1, 5 * 2560).reshape(1, 5, 2560)),))


def sampled(bench, model, cfg=3.0):
    return ksampler(
        model=model,
        seed=3,
        steps=3,
        cfg=cfg,
        sampler_name="euler",
        scheduler="simple",
        positive=text(-1.0),
        negative=text(0.5),
        latent_image=Latent(torch.zeros(1, 16, 8, 6)),
        ctx=bench,
    ).samples


@pytest.mark.parametrize("version", VERSIONS)
def test_latents_are_those_of_the_pipeline(bench, model, vae, version):
    patch = model_patch_loader(f"{version}.safetensors", bench)
    preflight.model_patch({"name": f"{version}.safetensors"}, bench.files)

    steered = qwen_image_diffsynth_controlnet(model, patch, vae, picture(), 0.7)
    found = sampled(bench, steered)

    assert (found - sampled(bench, model)).std() > 0.05
    expected = theirs(model, vae, version)
    found = model.latent_format.to_model(found)
    assert (found - expected).abs().max() / expected.std() < 1e-4


def mask():
    """Every number up to 1, a half of them below one half: 64 by 48 pixels."""
    rows = torch.linspace(0, 1, 64)[:, None].expand(64, 48)
    return torch.where(torch.arange(48) < 20, rows, rows.flip(0))[None]


@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_a_masked_picture_is_filled_as_in_the_pipeline(bench, model, vae, version):
    patch = model_patch_loader(f"{version}.safetensors", bench)
    shown, kept = picture(), picture().flip(1)

    filled = z_image_fun_controlnet(model, patch, vae, 0.7, shown, kept, mask())
    found = sampled(bench, filled)

    other = qwen_image_diffsynth_controlnet(model, patch, vae, shown, 0.7)
    assert (found - sampled(bench, other)).std() > 0.01
    expected = theirs(
        model,
        vae,
        version,
        ZImageControlNetInpaintPipeline,
        image=kept.movedim(-1, 1) * 2 - 1,
        mask_image=mask()[:, None],
    )
    found = model.latent_format.to_model(found)
    assert (found - expected).abs().max() / expected.std() < 1e-4


def test_either_of_a_control_image_and_a_picture_to_fill_is_enough(bench, model, vae):
    patch = model_patch_loader("2.1.safetensors", bench)

    def steer(*given, strength=0.7):
        return z_image_fun_controlnet(model, patch, vae, strength, *given)

    alone = sampled(bench, steer(picture()))
    as_ever = qwen_image_diffsynth_controlnet(model, patch, vae, picture(), 0.7)
    assert torch.equal(alone, sampled(bench, as_ever))
    filled = sampled(bench, steer(None, picture(), mask()))
    both = sampled(bench, steer(picture(), picture(), mask()))
    assert (filled - sampled(bench, model)).std() > 0.01
    assert (filled - both).std() > 0.01
    assert steer() is model
    assert steer(picture(), strength=0.0) is model


def test_a_picture_to_fill_that_is_not_read_or_not_whole_is_told(bench, model, vae):
    first, third = (model_patch_loader(f"{name}.safetensors", bench) for name in ("1", "2.1"))

    with pytest.raises(UnreadMaskError, match="ZImageFunControlnet"):
        z_image_fun_controlnet(model, first, vae, 1.0, picture(), picture(), mask())
    with pytest.raises(MissingInputError, match="no mask"):
        z_image_fun_controlnet(model, third, vae, 1.0, None, picture())
    with pytest.raises(MissingInputError, match="no `inpaint_image`"):
        z_image_fun_controlnet(model, third, vae, 1.0, picture(), None, mask())
    write(bench.root / "models/diffusion_models/other.safetensors", small_flux())
    flux = unet_loader("other.safetensors", "default", bench)
    with pytest.raises(ModelMismatchError, match="does not fit the model"):
        z_image_fun_controlnet(flux, third, vae, 1.0, picture())


def theirs(model, vae, version, kind: Any = ZImageControlNetPipeline, **more):
    """The latents of diffusers' pipeline with the same networks, noise and levels."""
    named, extra = VERSIONS[version]
    control = ZImageControlNetModel(
        control_layers_places=[0, 1],
        control_refiner_layers_places=cast("Any", [0] if extra else None),
        control_in_dim=named.get("channels", 16),
        add_control_noise_refiner=cast("Any", extra),
        dim=64,
        n_refiner_layers=1,
        n_heads=4,
    )
    weights = {key: tensor.float() for key, tensor in tensors(version).items()}
    absent = "control_noise_refiner." if extra == "control_layers" else "none"
    control.load_state_dict({k: t for k, t in weights.items() if not k.startswith(absent)})
    encoder = cast("Any", copy.deepcopy(vae.vae.network.module()))
    encoder.register_to_config(scaling_factor=0.3611, shift_factor=0.1159)
    transformer = cast("Any", copy.deepcopy(model.model.network.module()))
    pipeline: Any = kind(
        FlowMatchEulerDiscreteScheduler(),
        encoder,
        cast("Any", None),
        cast("Any", their_tokenizer()),
        transformer,
        control.eval(),
    )
    pipeline.set_progress_bar_config(disable=True)
    sigmas = sigmas_for(model.parameterization, "simple", "euler", 3, 1.0)
    return pipeline(
        prompt_embeds=[text(-1.0).conds[0].tokens[0]],
        negative_prompt_embeds=[text(0.5).conds[0].tokens[0]],
        height=64,
        width=48,
        sigmas=sigmas[:-1].tolist(),
        guidance_scale=2.0,
        control_image=cast("Any", picture().movedim(-1, 1) * 2 - 1),
        controlnet_conditioning_scale=0.7,
        latents=cast("Any", torch.randn(1, 16, 8, 6, generator=torch.Generator().manual_seed(3))),
        output_type="latent",
        **more,
    ).images


def test_it_holds_for_a_part_of_the_schedule_and_adds_up(bench, model, vae):
    patch = model_patch_loader("1.safetensors", bench)

    def steer(model, *how):
        return qwen_image_diffsynth_controlnet(model, patch, vae, picture(), *how)

    assert steer(model, 0.0) is model
    plain, late = sampled(bench, model), sampled(bench, steer(model, 1.0, None, 0.99, 1.0))
    assert torch.equal(late, plain)
    twice = sampled(bench, steer(steer(model, 0.4), 0.4))
    torch.testing.assert_close(twice, sampled(bench, steer(model, 0.8)), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("layers", "places"),
    [(6, [0, 5, 10, 15, 20, 25]), (15, list(range(0, 30, 2))), (3, [0, 14, 28])],
)
def test_the_layers_that_published_files_steer_follow_from_their_number(tmp_path, layers, places):
    keys = [f"control_layers.{number}.after_proj.weight" for number in range(layers)]
    found = {
        **{key: torch.zeros(1) for key in keys},
        "control_all_x_embedder.2-1.weight": torch.zeros(64, 64),
        "control_layers.0.attention.norm_q.weight": torch.zeros(16),
        "control_noise_refiner.0.attention.to_q.weight": torch.zeros(1),
        "control_noise_refiner.1.attention.to_q.weight": torch.zeros(1),
    }
    spec = model_patch_spec(read_header(write(tmp_path / "a.safetensors", found)))

    assert isinstance(spec, ControlSpec)
    assert spec.network.config["control_layers_places"] == places
    assert spec.network.config["n_refiner_layers"] == 2


def test_what_does_not_fit_is_told(bench, model, vae):
    patch = model_patch_loader("1.safetensors", bench)
    write(bench.root / "models/diffusion_models/flux.safetensors", small_flux())
    flux = unet_loader("flux.safetensors", "default", bench)
    write(bench.root / "models/model_patches/none.safetensors", {"x": torch.zeros(1)})

    with pytest.raises(ModelMismatchError, match="ControlNet"):
        qwen_image_diffsynth_controlnet(flux, patch, vae, picture())
    with pytest.raises(UnreadMaskError, match="is given a mask"):
        qwen_image_diffsynth_controlnet(model, patch, vae, picture(), 1.0, torch.ones(1, 64, 48))
    with pytest.raises(ModelMismatchError, match="does not fit the model"):
        uso_style_reference(model, patch, cast("Any", None))
    with pytest.raises(UnrecognisedFileError, match="model patch"):
        model_patch_loader("none.safetensors", bench)
