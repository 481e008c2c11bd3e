"""DiffSynth-Studio's ControlNets for Qwen-Image do what their formula says to diffusers' pipeline.

diffusers has no class for them, so hooks on its transformer's blocks compute the formula.
"""

from typing import Any, cast

import pytest
import torch
from diffusers.pipelines.qwenimage.pipeline_qwenimage import QwenImagePipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from torch.nn import functional

from nodes.builtin.conditioning.controlnets import control_net_apply_advanced, control_net_loader
from nodes.builtin.conditioning.flux import reference_latent
from nodes.builtin.model.checkpoints import unet_loader, vae_loader
from nodes.builtin.model.errors import UnreadMaskError
from nodes.builtin.model.model_patches import (
    model_patch_loader,
    qwen_image_diffsynth_controlnet,
)
from nodes.models.adapters.style import SteeringPatch
from nodes.models.families.adapters.style import model_patch_spec
from nodes.models.families.base.errors import MissingWeightsError
from nodes.models.families.controlnets.spec import ControlSpec
from nodes.models.loading.forward import denoise
from nodes.models.networks.base.errors import MissingInputError
from nodes.models.networks.factory import skeleton
from nodes.models.patches.errors import ModelMismatchError
from nodes.models.weights.header import Header, TensorInfo
from nodes.preflight import models as preflight
from nodes.values import CondBatch, Latent
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import assert_close, in_float32, sampled, start_of, text_of
from tests.nodes.models.qwen_image_theirs import WIDTH, their_transformer, their_vae
from tests.tiny_models.checkpoints import write
from tests.tiny_models.control_networks import qwen_image_blockwise, qwen_image_controlnet
from tests.tiny_models.quantized_files import scaled
from tests.tiny_models.random_weights import Draw
from tests.tiny_models.whole_models import tiny_qwen_image, tiny_z_image

MODEL, VAE = "qwen_image_2512_fp8_e4m3fn.safetensors", "qwen_image_vae.safetensors"
CANNY = "qwen_image_canny_diffsynth_controlnet.safetensors"
INPAINT = "qwen_image_inpaint_diffsynth_controlnet.safetensors"
UNION = "Qwen-Image-InstantX-ControlNet-Union.safetensors"
CHANNELS = {CANNY: 16, INPAINT: 17}


def tensors(channels=16, **sizes):
    qwen_image_blockwise(draw := Draw(41), channels=channels, **sizes)
    return draw.tensors


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    models = bench.root / "models"
    tiny_qwen_image(models)
    tiny_z_image(models)
    for name, channels in CHANNELS.items():
        write(models / "model_patches" / name, tensors(channels))
    small, wide = scaled(tensors())
    write(models / "model_patches/small.safetensors", small)
    write(models / "model_patches/wide.safetensors", wide)
    write(models / "model_patches/deep.safetensors", tensors(blocks=3))
    qwen_image_controlnet(draw := Draw(31), text=WIDTH)
    write(models / "controlnet" / UNION, draw.tensors)
    return bench


@pytest.fixture(scope="module")
def model(bench):
    return unet_loader(MODEL, "default", bench)


@pytest.fixture(scope="module")
def vae(bench):
    return vae_loader(VAE, bench)


def picture(count=1):
    return torch.rand(count, 64, 48, 3, generator=torch.Generator().manual_seed(5))


def mask():
    mask = torch.zeros(1, 64, 48)
    mask[:, 19:45, 5:35] = 1
    return mask


def steer(bench, model, vae, name=CANNY, *how, mask=None):
    patch = model_patch_loader(name, bench)
    strength, *part = how or (0.7,)
    return qwen_image_diffsynth_controlnet(model, patch, vae, picture(), strength, mask, *part)


def their_hint(name):
    """The patches of the hint, in the order of channels, rows and columns within a patch."""
    image, found = picture().movedim(-1, 1), mask()[:, None]
    if name == INPAINT:
        image = torch.where(found > 0.5, 0.0, image)
    vae: Any = their_vae()
    latent = vae.encode((image * 2 - 1)[:, :, None]).latent_dist.mode()[:, :, 0]
    mean, std = (
        torch.tensor(numbers)[None, :, None, None]
        for numbers in (vae.config.latents_mean, vae.config.latents_std)
    )
    latent = (latent - mean) / std
    if name == INPAINT:
        latent = torch.cat([latent, 1 - functional.interpolate(found, (8, 6))], dim=1)
    cut = latent.unfold(2, 2, 2).unfold(3, 2, 2)  # [1, channels, rows, columns, 2, 2]
    return cut.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


def normed(x, weight):
    return x / (x.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt() * weight


def theirs(model, text, name, strength):
    """The latents of diffusers' pipeline, whose blocks' outputs are changed by the formula."""
    weights = in_float32(tensors(CHANNELS[name]))
    hint = their_hint(name) @ weights["img_in.weight"].T + weights["img_in.bias"]
    transformer = their_transformer()

    def change(number):
        own = {
            key.removeprefix(f"controlnet_blocks.{number}."): tensor
            for key, tensor in weights.items()
        }

        def hook(module, inputs, output):
            del module, inputs
            words, x = output
            inner = normed(x, own["x_rms.weight"]) + normed(hint, own["y_rms.weight"])
            inner = inner @ own["input_proj.weight"].T + own["input_proj.bias"]
            inner = inner * (1 + torch.erf(inner / 2**0.5)) / 2
            made = inner @ own["output_proj.weight"].T + own["output_proj.bias"]
            return words, x + strength * made

        return hook

    for number, block in enumerate(transformer.transformer_blocks):
        block.register_forward_hook(change(number))
    none: Any = None
    vae: Any = their_vae()
    made: Any = QwenImagePipeline(FlowMatchEulerDiscreteScheduler(), vae, none, none, transformer)
    made.set_progress_bar_config(disable=True)
    noise, sigmas = start_of(model)
    found = made(
        prompt_embeds=text.conds[0].tokens,
        prompt_embeds_mask=torch.ones(1, 5, dtype=torch.long),
        height=64,
        width=48,
        sigmas=sigmas,
        true_cfg_scale=1.0,
        latents=made._pack_latents(noise, 1, 16, 8, 6),
        output_type="latent",
    ).images
    return made._unpack_latents(found, 64, 48, 8)[:, :, 0]


@pytest.mark.parametrize("name", CHANNELS)
def test_latents_are_those_of_the_formula_in_the_pipeline(bench, model, vae, name):
    text = text_of(WIDTH)
    preflight.model_patch({"name": name}, bench.files)

    steered = steer(bench, model, vae, name, mask=mask() if name == INPAINT else None)
    found = sampled(bench, steered, text, text, 1.0)

    assert_close(model.latent_format.to_model(found), theirs(model, text, name, 0.7))
    plain = sampled(bench, model, text, text, 1.0)
    assert (found - plain).std() / plain.std() > 0.05


def test_it_holds_for_a_part_of_the_schedule_and_adds_up(bench, model, vae):
    text = text_of(WIDTH)
    plain = sampled(bench, model, text, text, 1.0)

    assert steer(bench, model, vae, CANNY, 0.0) is model
    late = sampled(bench, steer(bench, model, vae, CANNY, 1.0, 0.99, 1.0), text, text, 1.0)
    assert torch.equal(late, plain)
    twice = steer(bench, steer(bench, model, vae, CANNY, 0.4), vae, CANNY, 0.3)
    once = steer(bench, model, vae, CANNY, 0.7)
    torch.testing.assert_close(
        sampled(bench, twice, text, text, 3.0), sampled(bench, once, text, text, 3.0),
        rtol=0, atol=1e-4,
    )  # fmt: skip


def test_it_goes_with_another_controlnet_and_with_references(bench, model, vae):
    text = text_of(WIDTH)
    control = control_net_loader(UNION, bench)
    both, _ = control_net_apply_advanced(text, text, control, picture(), 0.5, 0.0, 1.0, vae)
    seen = reference_latent(both, Latent(torch.ones(1, 16, 6, 6)))
    steered = steer(bench, model, vae)

    made = [
        sampled(bench, with_model, prompt, prompt, 1.0)
        for with_model in (model, steered)
        for prompt in (text, both, seen)
    ]

    assert all(torch.isfinite(each).all() for each in made)
    different = [(a - b).std() > 1e-3 for n, a in enumerate(made) for b in made[:n]]
    assert all(different)
    nothing, _ = control_net_apply_advanced(text, text, control, picture(), 1e-9, 0.0, 1.0, vae)
    torch.testing.assert_close(
        sampled(bench, steered, nothing, nothing, 1.0), made[3], rtol=0, atol=1e-4
    )


def test_a_quantised_file_is_close_to_the_one_that_it_is_of(bench, model, vae):
    text = text_of(WIDTH)
    found, expected = (
        sampled(bench, steer(bench, model, vae, f"{name}.safetensors"), text, text, 1.0)
        for name in ("small", "wide")
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_the_sizes_of_published_files_are_read(tmp_path):
    infos = {}
    for key, tensor in tensors(17).items():
        shape = [{64: 3072}.get(size, size) for size in tensor.shape]
        infos[key] = TensorInfo("BF16", tuple(shape))
    first = {key: info for key, info in infos.items() if key.startswith("controlnet_blocks.0.")}
    for number in range(2, 60):
        infos |= {key.replace(".0.", f".{number}.", 1): info for key, info in first.items()}
    spec = model_patch_spec(Header(tmp_path / "inpaint.safetensors", infos, {}))

    assert isinstance(spec, ControlSpec)
    assert spec.masked
    assert spec.network.config == {"blocks": 60, "channels": 17, "width": 3072}
    assert {key: tuple(t.shape) for key, t in skeleton(spec.network).state_dict().items()} == {
        key: info.shape for key, info in infos.items()
    }


def test_what_does_not_fit_is_told(bench, model, vae):
    other = unet_loader("z_image_turbo_bf16.safetensors", "default", bench)

    with pytest.raises(ModelMismatchError, match="ControlNet"):
        steer(bench, other, vae)
    with pytest.raises(ModelMismatchError, match=r"deep\.safetensors"):
        steer(bench, model, vae, "deep.safetensors")
    with pytest.raises(UnreadMaskError, match="is given a mask"):
        steer(bench, model, vae, mask=mask())
    with pytest.raises(MissingInputError, match="inpainting"):
        steer(bench, model, vae, INPAINT)


def test_a_file_that_lacks_weights_is_told(bench, model, vae):
    broken = tensors()
    del broken["controlnet_blocks.1.output_proj.weight"]
    write(bench.root / "models/model_patches/broken.safetensors", broken)
    steered, text = steer(bench, model, vae, "broken.safetensors"), text_of(WIDTH)

    with pytest.raises(MissingWeightsError):
        sampled(bench, steered, text, text, 1.0)


def test_each_row_of_a_batch_has_its_own_hint(bench, model, vae):
    patch = model_patch_loader(CANNY, bench)
    x = torch.linspace(-1, 1, 2 * 16 * 48).reshape(2, 16, 8, 6)
    tokens = torch.linspace(-2, 2, 2 * 9 * WIDTH).reshape(2, 9, WIDTH)
    levels = torch.tensor([0.9, 0.3])

    def made(rows):
        steered = qwen_image_diffsynth_controlnet(model, patch, vae, picture(2)[rows], 0.7)
        (injection,) = steered.injections
        controls = (cast("SteeringPatch", injection).control,)
        return denoise(steered, x[rows], levels[rows], CondBatch(tokens[rows], controls=controls))

    both = made(slice(0, 2))
    for row in (0, 1):
        alone = made(slice(row, row + 1))
        torch.testing.assert_close(both[row : row + 1], alone, rtol=0, atol=1e-5)
