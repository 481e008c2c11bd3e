"""Packs read and replace parts of a MODEL, and what they can not have is said."""

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import nodes
from nodegraph.execution.engine import Engine
from nodegraph.packs.registry import Registry
from nodegraph.runtime.model_pool import ModelPool
from nodegraph.workflow.read import read_prompt
from nodes.comfy.host.comfy import model_sampling
from nodes.comfy.host.comfy.model_base import ModelType
from nodes.comfy.values import runtime
from nodes.comfy.values.absent import absent
from nodes.comfy.values.encoders import PackClip, PackVae
from nodes.comfy.values.errors import NotOfferedError
from nodes.comfy.values.models import PackModel
from nodes.models.loading.checkpoint import open_checkpoint
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.models.text.textual_inversion import Embeddings
from nodes.sampling.noise_schedule.parameterization import Discrete, Flow, Parameterization

DEMO = Path(nodes.__file__).parent / "assets" / "demo-shapes.safetensors"
PACK = """
import comfy.model_sampling
import comfy.supported_models
from comfy.model_base import BaseModel, ModelType, SDXL


class Levels(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.V_PREDICTION):
    pass


class Reschedule:
    RETURN_TYPES = ("MODEL", "STRING")
    FUNCTION = "run"
    CATEGORY = "toys"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "zsnr": ("BOOLEAN",)}}

    def run(self, model, zsnr):
        assert isinstance(model.model, BaseModel) and not isinstance(model.model, SDXL)
        assert type(model.model).__name__ == "BaseModel"
        config = model.model.model_config
        assert isinstance(config, comfy.supported_models.SD15) and config.unet_config["context_dim"]
        changed = model.clone()
        changed.add_object_patch("model_sampling", Levels(zsnr=zsnr))
        again = changed.clone()
        assert again.get_model_object("model_sampling") is changed.object_patches["model_sampling"]
        return again, str(model.model.model_type == ModelType.V_PREDICTION)


NODE_CLASS_MAPPINGS = {"Reschedule": Reschedule}
"""


@pytest.fixture(scope="module")
def demo():
    """The demonstration's MODEL, CLIP and VAE as packs get them."""
    opened = open_checkpoint(DEMO, str(DEMO), ModelPool())
    return (
        PackModel(ModelHandle(opened.model)),
        PackClip(ClipHandle(opened.text)),
        PackVae(VaeHandle(opened.vae)),
    )


def levels(*kinds: type, **given: Any) -> Any:
    return type("Levels", kinds, {})(**given)


@pytest.mark.parametrize(
    ("kinds", "own"),
    [
        (("ModelSamplingDiscrete", "EPS"), Discrete.scaled_linear("eps")),
        (("ModelSamplingDiscrete", "V_PREDICTION"), Discrete.scaled_linear("v")),
        (("ModelSamplingDiscreteFlow", "CONST"), Flow.with_shift(3.0)),
        (("ModelSamplingFlux", "CONST"), Flow.from_mu(1.15)),
    ],
)
def test_schedules_of_packs_are_those_of_ours(kinds: tuple[str, ...], own: Parameterization):
    theirs = levels(*(getattr(model_sampling, kind) for kind in kinds))
    if kinds[0] == "ModelSamplingDiscreteFlow":
        theirs.set_parameters(shift=3.0)
    x, noise = torch.randn(2, 2, 4, 4, 4).unbind()
    sigma = torch.tensor([0.9, 0.3])

    assert theirs.sigmas.allclose(own.sigmas)
    assert float(theirs.sigma_max) == pytest.approx(own.sigma_max)
    assert theirs.timestep(sigma).allclose(own.timestep(sigma))
    assert theirs.sigma(torch.tensor(500.0)).allclose(own.sigma(torch.tensor(500.0)))
    assert theirs.percent_to_sigma(0.4) == pytest.approx(own.percent_to_sigma(0.4))
    assert theirs.calculate_input(sigma, x).allclose(own.scale_input(x, sigma))
    assert theirs.calculate_denoised(sigma, noise, x).allclose(own.to_x0(x, sigma, noise))
    assert theirs.noise_scaling(sigma, noise, x).allclose(own.add_noise(sigma, noise, x))
    undone = theirs.inverse_noise_scaling(sigma[:1], x)
    assert undone.allclose(own.inverse_noise_scaling(sigma[:1], x))


def test_a_pack_replaces_the_noise_schedule_of_a_model(import_pack, host_settings):
    ours = Registry.load(names=("nodes",))
    registry = Registry.from_types(*import_pack(PACK).values(), also=ours)
    engine = Engine(registry, host_settings.files(ours.model_places))

    def sampled(link):
        graph = {
            "m": node("CheckpointLoaderSimple", ckpt_name="demo-shapes.safetensors"),
            "same": node("Reschedule", model=["m", 0], zsnr=False),
            "zero": node("Reschedule", model=["m", 0], zsnr=True),
            "t": node("CLIPTextEncode", clip=["m", 1], text="a circle"),
            "e": node("EmptyLatentImage", width=64, height=64, batch_size=1),
            "s": node("KSampler", model=link, positive=["t", 0], negative=["t", 0], **KSAMPLER),
        }
        outputs = engine.run(read_prompt(graph), targets=["s", "same"]).outputs
        assert outputs["same"][1] == "True"
        latent: Any = outputs["s"][0]
        return latent.samples

    plain = sampled(["m", 0])
    assert sampled(["same", 0]).allclose(plain, atol=1e-4)
    assert not sampled(["zero", 0]).allclose(plain, atol=1e-2)


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


KSAMPLER: dict[str, Any] = {
    "latent_image": ["e", 0],
    "seed": 1,
    "steps": 2,
    "cfg": 1.0,
    "sampler_name": "euler",
    "scheduler": "normal",
    "denoise": 1.0,
}


def test_the_names_and_shapes_of_weights_are_told_without_values(demo):
    model, clip, _vae = demo
    names = model.model_state_dict()

    assert all(name.startswith("diffusion_model.") for name in names)
    assert names["diffusion_model.out.2.bias"].shape == (4,)
    assert names["diffusion_model.out.2.bias"].is_meta
    assert model.model_state_dict("diffusion_model.out.").keys() < names.keys()
    assert any("self_attn" in name for name in clip.patcher.model_state_dict())


def test_what_a_model_is_can_be_read(demo):
    model, clip, vae = demo

    assert model.model.model_type is ModelType.V_PREDICTION
    assert (model.size, model.is_clip, model.patches) == (model.loaded_size(), False, {})
    assert clip.layer_idx is None
    assert clip.load_model().model_size() > 0
    assert (vae.device, vae.upscale_ratio) == (torch.device("cpu"), vae.downscale_ratio)
    vae.throw_exception_if_invalid()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("0.model.diffusion_model", "the 'diffusion_model' of a model"),
        ("0.model.betas", "the 'betas' of a model"),
        ("0.model_patches_to", "the 'model_patches_to' of a MODEL"),
        ("1.cond_stage_model.clip_l", "the 'clip_l' of text encoders"),
        ("1.patcher.object_patches", "the 'object_patches' of a CLIP's patcher"),
        ("2.first_stage_model", "the 'first_stage_model' of a VAE"),
    ],
)
def test_what_is_not_there_says_so_and_hasattr_does_not_fail(demo, path, said):
    place, first, *rest = path.split(".")
    value = demo[int(place)]
    while rest and rest[0] in ("clip_l", "object_patches", "diffusion_model", "betas"):
        value, first, rest = getattr(value, first), rest[0], rest[1:]

    assert not hasattr(value, first)
    with pytest.raises(NotOfferedError, match="not available to packs") as caught:
        getattr(value, first)
    assert said in str(caught.value)


def test_other_parts_of_a_model_can_not_be_replaced(demo):
    with pytest.raises(NotOfferedError, match=r"add_object_patch for the 'diffusion_model"):
        demo[0].clone().add_object_patch("diffusion_model.forward", None)
    assert copy.deepcopy(demo[0]).object_patches == {}


@pytest.mark.parametrize(
    ("family", "text", "kind"),
    [
        ("sd15", 768, ("BaseModel", "SD15")),
        ("sdxl", 2048, ("SDXL", "SDXL")),
        ("sdxl", 1280, ("SDXLRefiner", "SDXLRefiner")),
        ("flux", 0, ("Flux", "FluxSchnell")),
        ("of another package", 0, ("BaseModel", "BASE")),
    ],
)
def test_the_class_of_a_model_is_that_of_its_family(demo, family, text, kind):
    handle: ModelHandle = demo[0].handle
    config = {**handle.model.spec.network.config, "cross_attention_dim": text}
    network = replace(handle.model.spec.network, config=config)
    spec = replace(handle.model.spec, family=family, network=network)
    model = PackModel(replace(handle, model=replace(handle.model, spec=spec))).model

    assert (type(model).__name__, type(model.model_config).__name__) == kind
    assert isinstance(model, absent("comfy.model_base.BaseModel"))
    assert isinstance(model, absent(f"comfy.model_base.{kind[0]}"))
    assert model.model_config.latent_format is model.latent_format
    assert model.model_config.unet_config["in_channels"] == 4
    with pytest.raises(NotOfferedError):
        type(model)()


def test_pixels_are_cropped_to_what_a_vae_encodes(demo):
    pixels = torch.arange(21 * 18).reshape(1, 21, 18, 1)

    cropped = demo[2].vae_encode_crop_pixels(pixels)

    assert torch.equal(cropped, pixels[:, 2:18, 1:17])


def test_a_vae_works_in_tiles_as_it_does_at_once(demo):
    pixels = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    vae = demo[2]

    whole = vae.encode(pixels)
    torch.testing.assert_close(vae.encode_tiled(pixels, tile_x=128, tile_y=128), whole)
    tiled = vae.decode_tiled(whole, tile_x=16, tile_y=16, overlap=4)
    torch.testing.assert_close(tiled, vae.decode(whole))
    assert not torch.equal(vae.decode_tiled(whole, tile_x=4, tile_y=4, overlap=2), tiled)


def test_tokens_are_those_of_the_text_and_may_be_changed(demo):
    clip: PackClip = demo[1]
    plain, weighted = clip.tokenize("a red circle"), clip.tokenize("a (red:1.5) circle")
    (chunk,) = plain["l"]
    changed = [
        (token, 1.5 if place == 2 else weight) for place, (token, weight) in enumerate(chunk)
    ]

    assert list(plain) == ["l"]
    assert len(chunk) == 32  # the demo's own length
    assert [weight for _, weight in weighted["l"][0]] == [weight for _, weight in changed]
    assert [each[2] for each in clip.tokenize("a red", True)["l"][0][:4]] == [0, 1, 1, 0]
    native = clip.handle.encode("a (red:1.5) circle", Embeddings(runtime.files(), print))
    assert torch.equal(clip.encode_from_tokens({"l": [changed]}), native.tokens)
    twice = clip.encode_from_tokens({"l": [*plain["l"], *weighted["l"]]})
    assert twice.shape[1] == 2 * 32
    assert torch.equal(twice[:, 32:], native.tokens)


def test_a_token_may_be_a_vector(demo):
    clip: PackClip = demo[1]
    tokens = clip.tokenize("a red circle")["l"]
    width = clip.encode("a").shape[-1]

    ones = [[(torch.ones(width), 1.0) if n == 2 else item for n, item in enumerate(tokens[0])]]

    assert not torch.equal(clip.encode_from_tokens({"l": ones}), clip.encode("a red circle"))


def test_times_are_shifted_as_a_flow_model_s_levels_are():
    times = torch.linspace(0.001, 1.0, 1000)

    shifted = model_sampling.time_snr_shift(3.0, times)
    torch.testing.assert_close(shifted, Flow.with_shift(3.0).sigmas)
    of_flux = model_sampling.flux_time_shift(1.15, 1.0, times)
    torch.testing.assert_close(of_flux, model_sampling.time_snr_shift(math.exp(1.15), times))
