"""Reference images of Qwen-Image 2.1, and the keys and values that are kept of them."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nodes.builtin.conditioning.flux import reference_latent
from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.builtin.model.checkpoints import unet_loader, vae_loader
from nodes.builtin.model.qwen_image21 import qwen_image21_cache, text_encode_qwen_image21
from nodes.builtin.model.text_encoders import clip_loader
from nodes.models.loading.errors import UnreadTextError
from nodes.models.loading.forward import prepare, use_of
from nodes.models.networks.base.errors import (
    TooManyReferencesError,
    UnplacedReferenceError,
    WrongNetworkError,
)
from nodes.models.networks.base.placed_references import SLOTS
from nodes.models.networks.base.prefix_cache import LayerPrefix, PrefixPolicy
from nodes.values import REFERENCES, CondBatch, Latent
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import sampled
from tests.tiny_models.whole_models import tiny_qwen_image21, tiny_z_image

MODEL = "qwen_image_2.1_bf16.safetensors"
TEXT, VAE = "qwen3vl_8b_int8_convrot.safetensors", "qwen_image_2.1_vae_bf16.safetensors"
SIDE = 256
SLOT = (SIDE // 32) ** 2


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    tiny_qwen_image21(bench.root / "models")
    return bench


@pytest.fixture(scope="module")
def model(bench):
    return unet_loader(MODEL, "default", bench)


@pytest.fixture(scope="module")
def clip(bench):
    return clip_loader(TEXT, "qwen_image", ctx=bench)


@pytest.fixture(scope="module")
def vae(bench):
    return vae_loader(VAE, bench)


@pytest.fixture(scope="module")
def made(bench, clip, vae):
    return prompted(bench, clip, vae, images(2))


def images(number, batch=1, side=40):
    drawn = torch.rand(number, batch, side, side, 3, generator=torch.Generator().manual_seed(4))
    return {f"image_{n}": each for n, each in enumerate(drawn, 1)}


def prompted(bench, clip, vae, pictures, resolution=SIDE):
    return text_encode_qwen_image21(
        clip, "a fox", "blurry", vae, resolution, images=pictures, ctx=bench
    )


def test_each_picture_has_a_place_in_the_text(made):
    (cond,) = made.positive.conds

    slots = cond.extras[SLOTS]
    assert [number for _, number in slots] == [SLOT, SLOT]
    assert slots[1][0] > slots[0][0] + SLOT
    assert [each.shape for each in cond.extras[REFERENCES]] == [(1, 64, 16, 16)] * 2
    assert made.latent.samples.shape == (1, 64, 16, 16)


def test_every_image_of_a_batch_is_a_reference_and_there_is_a_limit(bench, clip):
    both = prompted(bench, clip, None, images(1, batch=2))

    (cond,) = both.positive.conds
    assert cond.tokens.shape[1] > 2 * SLOT
    with pytest.raises(TooManyReferencesError, match="17 reference images"):
        prompted(bench, clip, None, images(1, batch=17))


def test_without_a_vae_the_text_encoder_alone_sees_the_pictures(bench, model, clip):
    seen = prompted(bench, clip, None, images(1)).positive
    plain = prompted(bench, clip, None, {}).positive

    assert not {REFERENCES, SLOTS} & seen.conds[0].extras.keys()
    found, other = (sampled(bench, model, text, text, 1.0) for text in (seen, plain))
    assert not torch.allclose(found, other, atol=1e-2)


@pytest.mark.parametrize(
    ("side", "resolution", "expected"), [(290, 0, (18, 18)), (40, 256, (16, 16)), (None, 512, 32)]
)
def test_the_latent_is_as_large_as_the_first_picture(bench, clip, side, resolution, expected):
    pictures = images(1, side=side) if side else {}

    latent = prompted(bench, clip, None, pictures, resolution).latent.samples

    assert latent.shape[-2:] == (expected if side else (expected, expected))


def test_a_prompt_without_pictures_is_that_of_the_usual_node(bench, clip):
    text = prompted(bench, clip, None, {}).positive

    assert torch.equal(text.conds[0].tokens, clip_text_encode("a fox", clip, bench).conds[0].tokens)


def test_a_reference_without_a_place_is_told(bench, model, clip):
    text = reference_latent(clip_text_encode("a fox", clip, bench), Latent(torch.ones(1, 64, 4, 4)))

    with pytest.raises(UnplacedReferenceError, match=r"1 reference latents .* 0 pictures"):
        sampled(bench, model, text, text, 1.0)


def test_a_text_encoder_of_another_family_is_told(bench):
    tiny_z_image(bench.root / "models")
    other = clip_loader("qwen_3_4b.safetensors", "lumina2", ctx=bench)

    with pytest.raises(UnreadTextError, match="qwen3_vl_8b"):
        prompted(bench, other, None, {})


def test_the_memory_of_a_call_with_references_is_known(model, made):
    (cond,) = made.positive.conds
    extras = prepare(model, cond, (16, 16)).extras
    use = use_of(model, torch.zeros(1, 64, 16, 16), CondBatch(cond.tokens, extras=extras))

    plain = use_of(model, torch.zeros(1, 64, 16, 16), CondBatch(cond.tokens[:, : -2 * SLOT]))
    assert use.activations is not None
    assert plain.activations is not None
    assert use.activations > 1.3 * plain.activations


def worked(bench, model, made, cfg):
    """A latent, and the operations that it took."""
    with FlopCounterMode(display=False) as counted:
        found = sampled(bench, model, made.positive, made.negative, cfg)
    return found, counted.get_total_flops()


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_kept_keys_and_values_change_nothing_and_save_work(bench, model, made, cfg):
    anew, all_work = worked(bench, qwen_image21_cache(model, "off"), made, cfg)

    for kept in (model, *(qwen_image21_cache(model, device) for device in ("auto", "gpu", "cpu"))):
        found, work = worked(bench, kept, made, cfg)
        torch.testing.assert_close(found, anew, rtol=0, atol=1e-5 * float(anew.std()))
        assert work < 0.45 * all_work, "three steps, of which the first makes what is kept"


@pytest.mark.parametrize(("dtype", "most"), [("int8", 0.02), ("int4", 0.2)])
def test_kept_in_few_bits_the_latent_is_close(bench, model, made, dtype, most):
    exact = sampled(bench, model, made.positive, made.negative, 1.0)

    rough = qwen_image21_cache(model, "auto", dtype)
    found = sampled(bench, rough, made.positive, made.negative, 1.0)

    assert 0 < (found - exact).std() / exact.std() < most


@pytest.mark.parametrize(("dtype", "share", "most"), [("int8", 0.3, 0.01), ("int4", 0.16, 0.15)])
def test_few_bits_take_their_share_of_the_memory(dtype, share, most):
    keys, values = torch.randn(2, 2, 5, 3, 64).unbind()
    layer = LayerPrefix(torch.device("cpu"), dtype)

    layer.store(keys, values)

    assert layer.nbytes < share * (keys.nbytes + values.nbytes)
    for found, expected in zip(layer.get(), (keys, values), strict=True):
        assert (found - expected).abs().max() < most * expected.abs().max()


def test_what_does_not_fit_is_not_kept():
    like = torch.zeros(1)

    assert PrefixPolicy("gpu").memory_for(1, like) is None, "outside of calls nothing is spare"
    assert PrefixPolicy("auto").memory_for(1, like) == torch.device("cpu")
    assert PrefixPolicy("auto").memory_for(1 << 50, like) is None
    assert PrefixPolicy("cpu").memory_for(1 << 50, like) is None


def test_the_cache_of_another_model_is_told(bench):
    tiny_z_image(bench.root / "models")
    other = unet_loader("z_image_turbo_bf16.safetensors", "default", bench)

    with pytest.raises(WrongNetworkError, match=r"QwenImage21Cache is for Qwen-Image 2\.1"):
        qwen_image21_cache(other)
