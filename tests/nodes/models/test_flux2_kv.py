"""FLUX.2 klein 9B-KV: references that are read once a run, against diffusers' pipeline for it."""

from typing import Any, cast

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_flux2_transformer_checkpoint_to_diffusers as convert,
)
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from diffusers.pipelines.flux2.pipeline_flux2_klein_kv import Flux2KleinKVPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from PIL.Image import fromarray
from torch.utils.flop_counter import FlopCounterMode

from nodes.builtin.conditioning.flux import (
    flux_guidance,
    flux_kontext_multi_reference_latent_method,
    flux_kv_cache,
    reference_latent,
)
from nodes.builtin.latent.vae import vae_encode
from nodes.builtin.model.checkpoints import unet_loader, vae_loader
from nodes.builtin.model.qwen_image21 import qwen_image21_cache
from nodes.models.loading.forward import denoise, prepare, use_of
from nodes.models.networks.base.errors import WrongNetworkError
from nodes.models.networks.base.prefix_cache import PrefixCaching, PrefixPolicy
from nodes.values import CondBatch
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import SIZE, assert_close, in_float32, sampled, start_of
from tests.nodes.models.family_checks import text_of as text_of_width
from tests.tiny_models.checkpoints import write
from tests.tiny_models.flux2_vae import small_flux2_vae, their_flux2_vae
from tests.tiny_models.random_weights import Draw
from tests.tiny_models.transformer_networks import flux2
from tests.tiny_models.whole_models import tiny_z_image

MODEL, VAE = "flux-2-klein-9b-kv-fp8.safetensors", "flux2-vae.safetensors"
DEV = "flux2_dev.safetensors"
WIDTH = 96


def drawn(*, guidance=False):
    draw = Draw(47)
    flux2(draw, text=WIDTH, guidance=guidance)
    return draw.tensors


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    models = bench.root / "models"
    write(models / f"diffusion_models/{MODEL}", drawn())
    write(models / f"diffusion_models/{DEV}", drawn(guidance=True))
    write(models / f"vae/{VAE}", small_flux2_vae())
    return bench


@pytest.fixture(scope="module")
def model(bench):
    return unet_loader(MODEL, "default", bench)


@pytest.fixture(scope="module")
def pictures():
    draw = torch.Generator().manual_seed(3)
    return [torch.randint(256, (*s, 3), generator=draw).float() / 255 for s in ((64, 96), (80, 64))]


@pytest.fixture(scope="module")
def seen(bench, pictures):
    return referring(bench, pictures)


def referring(bench, pictures):
    """A text with pictures, as the published workflow adds them."""
    vae, text = vae_loader(VAE, bench), text_of_width(WIDTH)
    for picture in pictures:
        text = reference_latent(text, vae_encode(picture[None], vae, bench))
    return text


def theirs(model, text, pictures):
    """The latents of diffusers from the same noise, at the same levels, as the model has them."""
    config: dict[str, Any] = {
        "num_layers": 2,
        "num_single_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 4,
        "joint_attention_dim": WIDTH,
        "axes_dims_rope": (4, 4, 4, 4),
        "guidance_embeds": False,
    }
    transformer = Flux2Transformer2DModel(**config)
    transformer.load_state_dict(convert(in_float32(drawn())))
    absent = cast("Any", None)
    vae = their_flux2_vae()
    pipeline = Flux2KleinKVPipeline(
        FlowMatchEulerDiscreteScheduler(), vae, absent, absent, transformer.eval()
    )
    pipeline.set_progress_bar_config(disable=True)
    noise, sigmas = start_of(model)
    found = pipeline(
        image=[fromarray((each * 255).round().byte().numpy()) for each in pictures],
        prompt_embeds=text.conds[0].tokens,
        height=SIZE[0] * 16,
        width=SIZE[1] * 16,
        sigmas=sigmas,
        latents=noise,
        output_type="latent",
    )
    statistics = cast("Any", vae.bn)
    deviation = (statistics.running_var + vae.config["batch_norm_eps"]).sqrt()
    latents = pipeline._patchify_latents(cast("Any", found).images)
    mean = statistics.running_mean[None, :, None, None]
    return (latents - mean) / deviation[None, :, None, None]


@pytest.mark.parametrize("number", [1, 2])
def test_latents_are_those_of_the_pipeline(bench, model, pictures, number):
    text = referring(bench, pictures[:number])

    found = sampled(bench, flux_kv_cache(model), text, text, 1.0)

    assert_close(found, theirs(model, text, pictures[:number]))
    plain = sampled(bench, model, text, text, 1.0)
    assert (found - plain).std() / plain.std() > 0.001, "all tokens see each other"


def with_policy(model, *policy):
    return model.with_alteration(PrefixCaching(PrefixPolicy(*policy), "FluxKVCache", "FLUX.2"))


def worked(bench, model, text, cfg):
    """A latent, and the operations that it took."""
    with FlopCounterMode(display=False) as counted:
        found = sampled(bench, model, text, text, cfg)
    return found, counted.get_total_flops()


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_what_is_kept_changes_nothing_and_saves_work(bench, model, seen, cfg):
    anew, all_work = worked(bench, with_policy(model, "off"), seen, cfg)

    for kept in (flux_kv_cache(model), with_policy(model, "cpu")):
        found, work = worked(bench, kept, seen, cfg)
        torch.testing.assert_close(found, anew, rtol=0, atol=1e-5 * float(anew.std()))
        assert work < 0.8 * all_work, "three steps, of which the first makes what is kept"


def test_prompts_with_other_pictures_keep_their_own(bench, model, pictures, seen):
    other = referring(bench, pictures[::-1])

    found, anew = (
        sampled(bench, each, seen, other, 3.0)
        for each in (flux_kv_cache(model), with_policy(model, "off"))
    )

    torch.testing.assert_close(found, anew, rtol=0, atol=1e-5 * float(anew.std()))


def test_without_pictures_it_changes_nothing(bench, model):
    text = text_of_width(WIDTH)

    found, plain = (sampled(bench, m, text, text, 1.0) for m in (flux_kv_cache(model), model))

    assert torch.equal(found, plain)


@pytest.mark.parametrize("method", ["offset", "uxo/uno"])
def test_every_place_of_pictures_can_be_kept(bench, model, seen, method):
    text = flux_kontext_multi_reference_latent_method(seen, method)

    found, anew = (
        sampled(bench, each, text, text, 1.0)
        for each in (flux_kv_cache(model), with_policy(model, "off"))
    )

    torch.testing.assert_close(found, anew, rtol=0, atol=1e-5 * float(anew.std()))


def test_the_guidance_of_dev_is_read_with_kept_pictures(bench, seen):
    model = flux_kv_cache(unet_loader(DEV, "default", bench))
    texts = [flux_guidance(seen, strength) for strength in (2.0, 6.0)]

    low, high = (sampled(bench, model, text, text, 1.0) for text in texts)

    anew = sampled(bench, with_policy(model, "off"), texts[1], texts[1], 1.0)
    assert not torch.allclose(low, high, atol=1e-3)
    torch.testing.assert_close(high, anew, rtol=0, atol=1e-5 * float(anew.std()))


def test_rows_of_a_call_do_not_depend_on_each_other(model, seen):
    model = flux_kv_cache(model)
    extras = prepare(model, seen.conds[0], SIZE).extras
    both = CondBatch(
        torch.linspace(-2, 2, 2 * 9 * WIDTH).reshape(2, 9, WIDTH),
        extras={name: torch.cat([each, -each]) for name, each in extras.items()},
    )
    x = torch.linspace(-1, 1, 2 * 128 * 48).reshape(2, 128, *SIZE)
    levels = torch.tensor([0.9, 0.3])

    found = denoise(model, x, levels, both)

    for row in (slice(1), slice(1, 2)):
        alone = {name: each[row] for name, each in both.extras.items()}
        expected = denoise(model, x[row], levels[row], CondBatch(both.tokens[row], extras=alone))
        torch.testing.assert_close(found[row], expected, rtol=0, atol=1e-5)


def test_the_memory_of_a_call_is_known(model, seen):
    kept = flux_kv_cache(model)
    extras = prepare(kept, seen.conds[0], SIZE).extras
    x, tokens = torch.zeros(1, 128, *SIZE), seen.conds[0].tokens

    use = use_of(kept, x, CondBatch(tokens, extras=extras)).activations
    plain = use_of(kept, x, CondBatch(tokens)).activations

    assert use is not None
    assert plain is not None
    assert use > 1.2 * plain


def test_the_node_of_another_family_is_told(bench, model):
    tiny_z_image(bench.root / "models")
    other = unet_loader("z_image_turbo_bf16.safetensors", "default", bench)

    with pytest.raises(WrongNetworkError, match=r"FluxKVCache is for FLUX\.2"):
        flux_kv_cache(other)
    with pytest.raises(WrongNetworkError, match=r"QwenImage21Cache is for Qwen-Image 2\.1"):
        qwen_image21_cache(model)
