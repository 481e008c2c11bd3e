"""The loader and the sampler of Efficiency Nodes, against the nodes that they stand for."""

from typing import Any

import pytest
import torch

from nodes.builtin.conditioning.prompts import clip_set_last_layer, clip_text_encode
from nodes.builtin.latent.vae import vae_decode
from nodes.builtin.model.checkpoints import checkpoint_loader_simple
from nodes.builtin.popular.efficiency import efficient_loader, ksampler_efficient
from nodes.builtin.sampling.ksampler import ksampler
from tests.nodes.bench import Bench
from tests.nodes.builtin.conditioning.test_ip_adapter import write_models

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("efficient")
    write_models(folder)
    return folder


@pytest.fixture
def bench(root):
    return Bench(root)


def load(bench, **more) -> Any:
    given: dict[str, Any] = {
        "ckpt_name": "sd15.safetensors",
        "vae_name": "Baked VAE",
        "lora_name": "None",
        "token_normalization": "none",
        "weight_interpretation": "comfy",
        "empty_latent_width": 64,
        "empty_latent_height": 48,
        "batch_size": 2,
    }
    return efficient_loader(**(given | more), ctx=bench)


def sample(parts, bench, **more) -> Any:
    given: dict[str, Any] = {
        "model": parts.MODEL,
        "positive": parts.positive,
        "negative": parts.negative,
        "latent_image": parts.LATENT,
        "steps": 2,
        "sampler_name": "euler",
        "scheduler": "normal",
        "preview_method": "auto",
        "vae_decode": "true",
        "optional_vae": parts.VAE,
    }
    return ksampler_efficient(**(given | more), ctx=bench)


def test_the_loader_does_what_its_parts_do(bench):
    parts = load(bench, positive="a cat", clip_skip=-2)

    _, clip, _ = checkpoint_loader_simple("sd15.safetensors", bench)
    expected = clip_text_encode("a cat", clip_set_last_layer(clip, -2), bench)
    assert torch.equal(parts.positive.conds[0].tokens, expected.conds[0].tokens)
    assert parts.LATENT.samples.shape == (2, 4, 6, 8)
    assert parts.DEPENDENCIES == ("sd15.safetensors", "Baked VAE", "None")


@pytest.mark.parametrize(
    ("prompt", "how", "notices"),
    [("a (cat:1.2)", "A1111", 1), ("a cat", "A1111", 0), ("a (cat:1.2)", "comfy", 0)],
)
def test_other_weights_are_read_with_a_notice(bench, prompt, how, notices):
    load(bench, positive=prompt, weight_interpretation=how)

    assert len(bench.notices) == notices


def test_the_sampler_samples_decodes_and_shows(bench):
    parts = load(bench)

    done = sample(parts, bench, seed=3, cfg=2.0)

    plain = ksampler(
        model=parts.MODEL,
        seed=3,
        steps=2,
        cfg=2.0,
        sampler_name="euler",
        scheduler="normal",
        positive=parts.positive,
        negative=parts.negative,
        latent_image=parts.LATENT,
        ctx=bench,
    )
    assert torch.equal(done.outputs.LATENT.samples, plain.samples)
    assert torch.equal(done.outputs.IMAGE, vae_decode(plain, parts.VAE, bench))
    assert len(done.artifacts["images"]) == 2


@pytest.mark.parametrize(
    ("how", "shape"), [("false", (1, 64, 64, 3)), ("output only (tiled)", (2, 48, 64, 3))]
)
def test_decoding_is_a_choice(bench, how, shape):
    done = sample(load(bench), bench, vae_decode=how, steps=1)

    assert done.outputs.IMAGE.shape == shape
    assert done.artifacts == {}


def test_without_a_vae_there_is_no_image_and_minus_one_draws_a_seed(bench):
    parts = load(bench)

    first = sample(parts, bench, optional_vae=None, seed=-1, steps=1).outputs
    second = sample(parts, bench, optional_vae=None, seed=-1, steps=1).outputs

    assert first.IMAGE.max() == 0
    assert not torch.equal(first.LATENT.samples, second.LATENT.samples)
    assert len(bench.notices) == 2
