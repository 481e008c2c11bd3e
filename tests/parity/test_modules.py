"""The parts of an SD 1.5 checkpoint against the reference numbers."""

import pytest
import torch

from nodes.text.embeddings import Embeddings
from nodes.vae import vae_decode, vae_decode_tiled, vae_encode, vae_encode_tiled
from nodes.values import CondBatch, Latent
from nodes.weights.handle import ClipHandle, ModelHandle, VaeHandle
from tests.nodes.bench import Bench
from tests.nodes.handles import tiny_checkpoint
from tests.nodes.pictures import grid
from tests.nodes.reference import distance, tensors

TOLERANCE = 5e-5
PROMPTS = [
    "a photo of a (red:1.3) cat on a (wooden (old:1.2) table), detailed",
    "",
    "a photo of a cat, " + "very detailed oil painting of a castle on a hill at sunset, " * 9
    + "(masterpiece:1.4)",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def expected(key):
    return tensors("sd15")[key]


def no_embeddings():
    return Embeddings(None, print)


def picture(*shape, step):
    return grid((1, *shape, 3), step) * 0.5 + 0.5


@pytest.mark.parametrize(("layer", "suffix"), [(None, ""), (-2, "_skip-2")])
@pytest.mark.parametrize("number", range(len(PROMPTS)))
def test_a_prompt_is_encoded(number, layer, suffix):
    clip = ClipHandle(tiny_checkpoint().text, layer=layer)

    encoded = clip.encode(PROMPTS[number], no_embeddings())

    key = f"text{number}{suffix}"
    assert distance(encoded.tokens[..., ::16], expected(f"{key}/cond")) <= TOLERANCE
    assert encoded.pooled is not None
    assert distance(encoded.pooled, expected(f"{key}/pooled")) <= TOLERANCE


@pytest.mark.parametrize(("sigma", "name"), [(None, "14.6146"), (1.0, "1"), (0.1, "0.1")])
def test_a_latent_is_denoised(sigma, name):
    model = ModelHandle(tiny_checkpoint().model)
    tokens = ClipHandle(tiny_checkpoint().text).encode(PROMPTS[0], no_embeddings()).tokens
    level = model.parameterisation.sigma_max if sigma is None else sigma
    x = grid((2, 4, 8, 12), 0.731) * 1.5 * max(level, 0.3)

    x0 = model.denoise(x, torch.full((2,), level), CondBatch(tokens.expand(2, -1, -1)))

    assert distance(x0, expected(f"model/sigma{name}")) <= TOLERANCE


def test_latents_are_scaled_for_the_model():
    latent_format = ModelHandle(tiny_checkpoint().model).latent_format
    given = grid((1, 4, 4, 4), 0.9)

    assert torch.equal(latent_format.to_model(given), expected("latent_format/in"))
    assert torch.equal(latent_format.to_raw(given), expected("latent_format/out"))


@pytest.mark.parametrize(
    ("height", "width", "step", "key"),
    [(80, 96, 0.013, "encode"), (77, 99, 0.017, "encode_odd_77x99")],
)
def test_a_picture_is_encoded(tmp_path, height, width, step, key):
    vae = VaeHandle(tiny_checkpoint().vae)

    latent = vae_encode(picture(height, width, step=step), vae, Bench(tmp_path))

    assert distance(latent.samples, expected(f"vae/{key}")) <= TOLERANCE


def test_a_latent_is_decoded(tmp_path):
    latent = Latent(grid((1, 4, 10, 12), 0.377))

    image = vae_decode(latent, VaeHandle(tiny_checkpoint().vae), Bench(tmp_path))

    assert distance(image, expected("vae/decode")) <= TOLERANCE


def test_tiles_are_blended_as_in_the_reference(tmp_path):
    vae, bench = VaeHandle(tiny_checkpoint().vae), Bench(tmp_path)
    latent = Latent(grid((1, 4, 16, 20), 0.377))
    pixels = picture(128, 160, step=0.013)

    image = vae_decode_tiled(latent, vae, bench, tile_size=64, overlap=16)
    encoded = vae_encode_tiled(pixels, vae, bench, tile_size=64, overlap=16)

    assert distance(image[:, ::2, ::2], expected("vae/decode_tiled_64_16")) <= TOLERANCE
    assert distance(encoded.samples, expected("vae/encode_tiled")) <= TOLERANCE
