"""Pictures as tokens: FLUX.1 Redux beside the text, USO's projector in the model's language."""

import math
from dataclasses import replace

import pytest
import torch
from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder

from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.conditioning.style import style_model_apply, style_model_loader
from nodes.builtin.model.model_patches import model_patch_loader, uso_style_reference
from nodes.models.adapters.errors import StyleMismatchError
from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.loading.checkpoint import open_model
from nodes.models.loading.forward import denoise, prepare
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.base.errors import VisionEncoderMismatchError
from nodes.models.patches.errors import ModelMismatchError
from nodes.preflight.models import model_patch as patch_preflight
from nodes.preflight.models import style_model as style_preflight
from nodes.values import Cond, CondBatch, Conditioning, SeenPictures
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid
from tests.tiny_models.checkpoints import small_flux, small_sd15, write
from tests.tiny_models.handles import opened
from tests.tiny_models.random_weights import Draw
from tests.tiny_models.vision_encoders import projector, redux

SEEN, PATCHES, TEXT = 48, 9, 64
BIAS = "attn_bias"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    for name, build in (("style_models/redux", redux), ("model_patches/uso", projector)):
        draw = Draw(91)
        build(draw)
        write(folder / "models" / f"{name}.safetensors", draw.tensors)
    write(folder / "models" / "diffusion_models" / "flux.safetensors", small_flux())
    write(folder / "models" / "checkpoints" / "small.safetensors", small_sd15())
    return folder


@pytest.fixture(scope="module")
def flux(root):
    path = root / "models" / "diffusion_models" / "flux.safetensors"
    return ModelHandle(open_model(path, str(path), ModelPool()))


@pytest.fixture(scope="module")
def style(root):
    return style_model_loader("redux.safetensors", Bench(root))


@pytest.fixture(scope="module")
def patch(root):
    return model_patch_loader("uso.safetensors", Bench(root))


def text(length=6, width=TEXT):
    return Conditioning((Cond(grid((1, length, width), 0.3), torch.zeros(1, TEXT)),))


def seen(width=SEEN, batch=1, patches=PATCHES):
    states = {layer: grid((batch, patches, width), 0.1 - layer / 100) for layer in (-2, -11, -20)}
    return SeenPictures(None, grid((batch, patches, width), 0.7), states)


def applied(conditioning, style, pictures, strength, kind):
    return style_model_apply(conditioning, style, pictures, strength, strength_type=kind)


def ask(model, conditioning):
    x, sigma = grid((1, 16, 8, 8), 0.3), torch.tensor([0.7])
    cond = prepare(model, conditioning.conds[0], (8, 8))
    return denoise(model, x, sigma, CondBatch(cond.tokens, cond.pooled, cond.extras))


def test_redux_makes_the_tokens_that_diffusers_makes(style):
    draw = Draw(91)
    redux(draw)
    oracle = ReduxImageEncoder(SEEN, TEXT)
    oracle.load_state_dict({key: value.float() for key, value in draw.tensors.items()})
    pictures = seen(batch=2)

    (cond,) = applied(text(), style, pictures, 0.5, "multiply").conds

    with torch.no_grad():
        expected = oracle(pictures.last).image_embeds.flatten(0, 1)[None]
    assert torch.equal(cond.tokens[:, :6], text().conds[0].tokens)
    torch.testing.assert_close(cond.tokens[:, 6:], 0.5 * expected)


def test_at_strength_1_both_ways_are_the_same(style, flux):
    times, bias = (applied(text(), style, seen(), 1.0, w) for w in ("multiply", BIAS))

    assert torch.equal(ask(flux, times), ask(flux, bias))


def test_a_bias_of_2_is_as_good_as_every_token_twice(style, flux):
    twice = seen()
    twice = replace(twice, last=twice.last.repeat(2, 1, 1))

    found = ask(flux, applied(text(), style, seen(), 2.0, BIAS))

    expected = ask(flux, applied(text(), style, twice, 1.0, BIAS))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    once = ask(flux, applied(text(), style, seen(), 1.0, BIAS))
    assert not torch.allclose(found, once, rtol=1e-4, atol=1e-5)


def test_a_bias_at_strength_0_hides_the_picture(style, flux):
    hidden = applied(text(), style, seen(), 0.0, BIAS)

    torch.testing.assert_close(ask(flux, hidden), ask(flux, text()), rtol=1e-4, atol=1e-5)


def test_biases_of_several_pictures_stay_with_their_tokens(style):
    first = applied(text(), style, seen(), 3.0, BIAS)
    (cond,) = applied(first, style, seen(), 0.5, BIAS).conds

    bias = cond.extras["style_bias"]
    assert isinstance(bias, torch.Tensor)
    expected = [0.0] * 6 + [math.log(3)] * PATCHES + [math.log(0.5)] * PATCHES
    torch.testing.assert_close(bias, torch.tensor([expected]))


def test_tokens_that_follow_later_have_no_bias(style, flux):
    (cond,) = applied(text(), style, seen(), 3.0, BIAS).conds
    longer = replace(cond, tokens=torch.cat([cond.tokens, cond.tokens[:, :2]], dim=1))

    bias = prepare(flux, longer, (8, 8)).extras["style_bias"]

    assert bias.shape == (1, 6 + PATCHES + 2)
    assert bias[0, -2:].tolist() == [0.0, 0.0]


def test_usos_tokens_stand_before_the_text_in_the_models_language(flux, patch):
    """The same as a text whose embedding is them; every step as the projector's authors say it."""
    tensors, pictures = projector_tensors(), seen()
    parts: list[torch.Tensor] = []
    for level, layer in (("high", -2), ("mid", -11), ("low", -20)):
        mixed = torch.nn.functional.linear(
            pictures.states[layer].transpose(1, 2),
            tensors[f"{level}_embedding_linear.0.weight"],
            tensors[f"{level}_embedding_linear.0.bias"],
        )
        states = torch.nn.functional.silu(mixed).transpose(1, 2)
        normed = torch.nn.functional.layer_norm(
            states,
            (SEEN,),
            tensors[f"{level}_layer_norm.weight"],
            tensors[f"{level}_layer_norm.bias"],
        )
        weights = (tensors[f"{level}_projection.{part}"] for part in ("weight", "bias"))
        parts.append(torch.nn.functional.linear(normed, *weights))
    expected = torch.cat(parts, dim=1)

    shown = uso_style_reference(flux, patch, pictures)

    cond = prepare(shown, text().conds[0], (8, 8))
    torch.testing.assert_close(cond.extras["style_tokens"], expected)
    module = flux.model.network.module()
    spoken = torch.linalg.lstsq(
        module.context_embedder.weight, (expected - module.context_embedder.bias)[0].T
    ).solution.T[None]
    as_text = Conditioning(
        (replace(text().conds[0], tokens=torch.cat([spoken, text().conds[0].tokens], dim=1)),)
    )
    torch.testing.assert_close(ask(shown, text()), ask(flux, as_text), rtol=1e-3, atol=1e-3)
    assert (ask(shown, text()) - ask(flux, text())).abs().max() > 1e-2


def projector_tensors():
    draw = Draw(91)
    projector(draw)
    return {
        key.removeprefix("feature_embedder."): value.float() for key, value in draw.tensors.items()
    }


def test_style_tokens_and_a_bias_go_together(flux, patch, style):
    shown = uso_style_reference(flux, patch, seen())
    hidden = applied(text(), style, seen(), 0.0, BIAS)

    torch.testing.assert_close(ask(shown, hidden), ask(shown, text()), rtol=1e-4, atol=1e-5)


def test_another_vision_encoder_is_refused(flux, style, patch):
    with pytest.raises(
        VisionEncoderMismatchError, match=r"'redux\.safetensors' reads 48 .* have 32"
    ):
        applied(text(), style, seen(32), 1.0, "multiply")
    with pytest.raises(VisionEncoderMismatchError, match=r"'uso\.safetensors' reads 48"):
        uso_style_reference(flux, patch, seen(32))
    with pytest.raises(VisionEncoderMismatchError, match="4 patches, not 9"):
        uso_style_reference(flux, patch, seen(patches=4))
    with pytest.raises(VisionEncoderMismatchError, match="too few layers"):
        uso_style_reference(flux, patch, replace(seen(), states={}))


def test_a_style_model_of_another_family_is_refused(style):
    with pytest.raises(StyleMismatchError, match=r"64 wide.*128"):
        applied(text(width=128), style, seen(), 1.0, "multiply")


def test_a_model_patch_for_another_model_is_refused(root, patch):
    path = root / "models" / "checkpoints" / "small.safetensors"

    with pytest.raises(ModelMismatchError, match=r"model patch 'uso\.safetensors' does not fit"):
        uso_style_reference(ModelHandle(opened(path).model), patch, seen())


def test_files_that_hold_something_else_are_refused(root):
    files = Bench(root).files
    for folder in ("style_models", "model_patches"):
        write(root / "models" / folder / "other.safetensors", small_flux())

    with pytest.raises(UnrecognisedFileError, match=r"other\.safetensors' holds no style model"):
        style_preflight({"style_model_name": "other.safetensors"}, files)
    with pytest.raises(UnrecognisedFileError, match=r"other\.safetensors' holds no model patch"):
        patch_preflight({"name": "other.safetensors"}, files)
