"""IP-Adapters, against diffusers' own on the same U-Net."""

from dataclasses import replace

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.conditioning.clip_vision import clip_vision_loader
from nodes.builtin.conditioning.ip_adapter import ip_adapter_apply, ip_adapter_loader
from nodes.models.adapters.errors import NoVectorError
from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.loading.checkpoint import open_model
from nodes.models.loading.forward import denoise, prepare
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.base.errors import VisionEncoderMismatchError
from nodes.models.networks.denoisers.unets.cross_attention import KEYS, MASK, VALUES
from nodes.models.patches.errors import ModelMismatchError
from nodes.models.weights.errors import UnavailableHereError
from nodes.preflight.models import ip_adapter as preflight
from nodes.sampling.conditioning.denoiser import Branch
from nodes.sampling.guidance.loop import Request, noise_for, sample
from nodes.values import Area, Cond, CondBatch, Conditioning, Latent, SeenPictures
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid, picture
from tests.tiny_models.checkpoints import small_flux, small_sd15, small_sdxl, write
from tests.tiny_models.handles import in_run, opened
from tests.tiny_models.random_weights import Draw
from tests.tiny_models.vision_encoders import ip_adapter, siglip, vision

TEXT = 64
WIDTHS = {"sd15": [32, 32, 32, 64], "sdxl": [64, *[128] * 6, 64, 64, *[128] * 2]}
KINDS = ("plain", "plus", "full")


def adapter_tensors(kind, family="sd15", seen=0):
    draw = Draw(92)
    text = TEXT if family == "sd15" else 2 * TEXT
    ip_adapter(draw, kind, seen or (64 if kind == "plain" else 128), text, WIDTHS[family])
    return draw.tensors


def write_models(folder):
    """The models, the adapters and a vision encoder, for whoever looks for them there."""
    models = folder / "models"
    write(models / "checkpoints" / "sd15.safetensors", small_sd15())
    write(models / "checkpoints" / "sdxl.safetensors", small_sdxl())
    for kind in KINDS:
        write(models / "ipadapter" / f"{kind}.safetensors", adapter_tensors(kind))
    write(models / "ipadapter" / "sdxl.safetensors", adapter_tensors("plain", "sdxl"))
    draw = Draw(90)
    vision(draw)
    write(models / "clip_vision" / "eyes.safetensors", draw.tensors)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    write_models(folder)
    return folder


@pytest.fixture(scope="module")
def models(root):
    names = ("sd15", "sdxl")
    paths = {name: root / "models" / "checkpoints" / f"{name}.safetensors" for name in names}
    return {name: ModelHandle(opened(path).model) for name, path in paths.items()}


@pytest.fixture(scope="module")
def eyes(root):
    return clip_vision_loader("eyes.safetensors", Bench(root))


def adapter(root, name):
    return ip_adapter_loader(f"{name}.safetensors", Bench(root))


def text(width=TEXT, **said):
    return Cond(grid((1, 77, width), 0.3), torch.zeros(1, TEXT), **said)


BRANCHES: tuple[Branch, Branch] = ("positive", "negative")


def ask(model, *conds, sigma=2.0, size=(8, 8)):
    made = [
        prepare(model, cond, size, branch) for cond, branch in zip(conds, BRANCHES, strict=False)
    ]
    extras = {name: torch.cat([cond.extras[name] for cond in made]) for name in made[0].extras}
    tokens = torch.cat([cond.tokens for cond in made])
    pooled = torch.cat([cond.pooled for cond in made if cond.pooled is not None])
    x = grid((1, 4, *size), 0.3).repeat(len(conds), 1, 1, 1)
    batch = CondBatch(tokens, pooled, extras)
    return denoise(model, x, torch.full((len(conds),), sigma), batch)


def oracle(model, tensors):
    """Diffusers' U-Net of its own with the adapter in it."""
    network = model.model.network
    unet = UNet2DConditionModel(**network.spec.config).eval()
    unet.load_state_dict(network.module().state_dict())
    parts = {
        part: {
            key.removeprefix(f"{part}."): value.float()
            for key, value in tensors.items()
            if key.startswith(f"{part}.")
        }
        for part in ("image_proj", "ip_adapter")
    }
    unet._load_ip_adapter_weights([parts], low_cpu_mem_usage=False)
    return unet


def set_scale(unet, scale):
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [scale]


@torch.no_grad()
def asked(unet, model, images, size=(8, 8), added=None, **said):
    facts, x, sigma = model.parameterization, grid((1, 4, *size), 0.3), torch.tensor([2.0])
    (output,) = unet(
        facts.scale_input(x, sigma),
        facts.timestep(sigma),
        text(unet.config.cross_attention_dim).tokens,
        added_cond_kwargs={"image_embeds": images, **(added or {})},
        return_dict=False,
        **said,
    )
    return facts.to_x0(x, sigma, output)


def images_of(kind, seen):
    return seen.embeds[:, None] if kind == "plain" else seen.states[-2][:, None]


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_sees_what_diffusers_model_sees(root, models, eyes, kind):
    model, pictures = models["sd15"], picture(1, 16, 16)

    shown = ip_adapter_apply(model, adapter(root, kind), eyes, pictures, 0.7)

    unet = oracle(model, adapter_tensors(kind))
    set_scale(unet, 0.7)
    seen = eyes.see(pictures)
    nothing = eyes.see_nothing()
    blank = torch.zeros(1, 1, 64) if kind == "plain" else nothing.states[-2][:, None]
    found = ask(shown, text(), text())
    expected = [asked(unet, model, [each]) for each in (images_of(kind, seen), blank)]
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-4, atol=1e-5)
    assert (found[:1] - ask(model, text())).abs().max() > 1e-3


def test_sdxl_has_its_own(root, models, eyes):
    model, pictures = models["sdxl"], picture(1, 16, 16)

    shown = ip_adapter_apply(model, adapter(root, "sdxl"), eyes, pictures, 1.0)

    unet = oracle(model, adapter_tensors("plain", "sdxl"))
    sizes = torch.tensor([[64.0, 64.0, 0.0, 0.0, 64.0, 64.0]])
    added = {"text_embeds": torch.zeros(1, TEXT), "time_ids": sizes}
    expected = asked(unet, model, [images_of("plain", eyes.see(pictures))], added=added)
    torch.testing.assert_close(ask(shown, text(128)), expected, rtol=1e-4, atol=1e-5)


def test_pictures_of_a_batch_are_seen_together_as_in_diffusers(root, models, eyes):
    model, pictures = models["sd15"], picture(2, 16, 16)

    shown = ip_adapter_apply(model, adapter(root, "plain"), eyes, pictures)

    images = eyes.see(pictures).embeds[None]
    expected = asked(oracle(model, adapter_tensors("plain")), model, [images])
    torch.testing.assert_close(ask(shown, text()), expected, rtol=1e-4, atol=1e-5)


def test_a_mask_halves_what_it_halves_in_diffusers(root, models, eyes):
    model, pictures, size = models["sd15"], picture(1, 16, 16), (9, 12)

    shown = ip_adapter_apply(
        model, adapter(root, "plain"), eyes, pictures, mask=torch.full((1, 24, 32), 0.5)
    )

    unet = oracle(model, adapter_tensors("plain"))
    set_scale(unet, 0.5)
    expected = asked(unet, model, [images_of("plain", eyes.see(pictures))], size)
    torch.testing.assert_close(ask(shown, text(), size=size), expected, rtol=1e-4, atol=1e-5)


def test_a_mask_is_cut_with_the_conditions_area(root, models, eyes):
    mask = torch.zeros(1, 8, 16)
    mask[..., 8:] = 1
    shown = ip_adapter_apply(
        models["sd15"], adapter(root, "plain"), eyes, picture(1, 16, 16), mask=mask
    )

    left, right = (
        prepare(shown, text(area=Area(8, 8, 0, x)), (8, 16)).extras[f"{MASK}0"] for x in (0, 8)
    )

    assert left.shape == right.shape == (1, 1, 8, 8)
    assert (left.max(), right.min()) == (0.0, 1.0)


def test_several_adapters_add_up_and_each_holds_for_its_part(root, models, eyes):
    model, pictures = models["sd15"], picture(1, 16, 16)
    middle = model.parameterization.percent_to_sigma(0.5)

    early = ip_adapter_apply(model, adapter(root, "plain"), eyes, pictures, 1.0, 0.0, 0.5)
    both = ip_adapter_apply(early, adapter(root, "plus"), eyes, pictures, 0.5, 0.5, 1.0)

    plus = ip_adapter_apply(model, adapter(root, "plus"), eyes, pictures, 0.5)
    always = ip_adapter_apply(model, adapter(root, "plain"), eyes, pictures)
    above, below = middle * 2, middle / 2
    assert torch.equal(ask(both, text(), sigma=above), ask(always, text(), sigma=above))
    assert torch.equal(ask(both, text(), sigma=below), ask(plus, text(), sigma=below))
    assert torch.equal(ask(early, text(), sigma=below), ask(model, text(), sigma=below))
    together = ask(both, text(), sigma=middle)
    for alone in (always, plus):
        assert not torch.allclose(together, ask(alone, text(), sigma=middle), atol=1e-4)


def test_rows_of_one_call_may_stand_at_different_levels(root, models, eyes):
    model = models["sd15"]
    shown = ip_adapter_apply(model, adapter(root, "plain"), eyes, picture(1, 16, 16), 1.0, 0.0, 0.5)
    cond = prepare(shown, text(), (8, 8))
    extras = {
        key: value.repeat(2, 1, 1)
        for key, value in cond.extras.items()
        if key.startswith((KEYS, VALUES))
    }
    sigma = torch.tensor([5.0, 0.2])
    x = grid((1, 4, 8, 8), 0.3).repeat(2, 1, 1, 1)

    found = denoise(shown, x, sigma, CondBatch(cond.tokens.repeat(2, 1, 1), extras=extras))

    for row, level in enumerate((5.0, 0.2)):
        alone = ask(shown, text(), sigma=level)
        torch.testing.assert_close(found[row : row + 1], alone, rtol=1e-4, atol=1e-5)


def test_weight_0_changes_nothing(root, models, eyes):
    model = models["sd15"]
    shown = ip_adapter_apply(model, adapter(root, "plain"), eyes, picture(1, 16, 16), 0.0)

    assert torch.equal(ask(shown, text()), ask(model, text()))


def test_sampling_shows_the_pictures_to_both_sides(root, models, eyes):
    latent = Latent(torch.zeros(1, 4, 8, 8))

    def sampled(model, cfg):
        request = Request(
            denoiser=in_run(model),
            sampler="euler",
            sigmas=torch.tensor([4.0, 1.0, 0.0]),
            positive=Conditioning((text(),)),
            negative=Conditioning((text(),)),
            cfg=cfg,
            seed=1,
        )
        return sample(request, latent, noise_for(latent, 1))

    model = models["sd15"]
    shown = ip_adapter_apply(model, adapter(root, "plain"), eyes, picture(1, 16, 16))

    assert not torch.allclose(sampled(shown, 1.0), sampled(model, 1.0), atol=1e-4)
    # Both prompts are the same, so only the pictures can tell the sides apart.
    assert torch.allclose(sampled(model, 3.0), sampled(model, 1.0), atol=1e-4)
    assert not torch.allclose(sampled(shown, 3.0), sampled(shown, 1.0), atol=1e-4)


def test_an_adapter_of_another_family_is_refused(root, models, eyes, tmp_path):
    pictures = picture(1, 16, 16)
    flux = write(tmp_path / "flux.safetensors", small_flux())

    for model in (models["sdxl"], ModelHandle(open_model(flux, str(flux), ModelPool()))):
        with pytest.raises(
            ModelMismatchError, match=r"IP-Adapter 'plain\.safetensors' does not fit"
        ):
            ip_adapter_apply(model, adapter(root, "plain"), eyes, pictures)


def test_another_vision_encoder_is_refused(root, tmp_path):
    seen = SeenPictures(grid((1, 32), 0.1), grid((1, 9, 32), 0.1), {-2: grid((1, 9, 32), 0.1)})

    with pytest.raises(VisionEncoderMismatchError, match=r"reads 64 numbers of an image.*gives 32"):
        adapter(root, "plain").keys(seen)
    with pytest.raises(
        VisionEncoderMismatchError, match=r"'plus\.safetensors' reads 128 .* have 32"
    ):
        adapter(root, "plus").keys(seen)
    draw = Draw(1)
    siglip(draw, head=False)
    write(tmp_path / "models" / "clip_vision" / "headless.safetensors", draw.tensors)
    headless = clip_vision_loader("headless.safetensors", Bench(tmp_path))
    with pytest.raises(NoVectorError, match="no vector of an image"):
        adapter(root, "plain").keys(headless.see(picture(1, 16, 16)))


def test_other_files_are_refused(tmp_path):
    folder = tmp_path / "models" / "ipadapter"
    face = {k: v for k, v in adapter_tensors("plain").items() if k.startswith("ip_adapter.")}
    draw = Draw(1)
    draw.linear("image_proj.proj.0", 32, 64)
    draw.norm("image_proj.norm", 64)
    write(folder / "face.safetensors", face | draw.tensors)
    write(folder / "other.safetensors", small_flux())
    files = Bench(tmp_path).files

    with pytest.raises(UnavailableHereError, match="face recogniser"):
        preflight({"ipadapter_name": "face.safetensors"}, files)
    with pytest.raises(UnrecognisedFileError, match=r"other\.safetensors' holds no IP-Adapter"):
        preflight({"ipadapter_name": "other.safetensors"}, files)


def test_handles_with_pictures_keep_what_they_had(root, models, eyes):
    model = replace(models["sd15"], latents=models["sd15"].latent_format)

    shown = ip_adapter_apply(model, adapter(root, "plain"), eyes, picture(1, 16, 16))

    assert (shown.model, shown.latents) == (model.model, model.latents)
    assert models["sd15"].injections == ()
