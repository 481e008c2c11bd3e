"""The parts of a checkpoint of every family against the reference numbers.

`pytest -m "" -rP tests/parity/test_modules.py` runs them all and shows how far each is off.
"""

from collections.abc import Collection
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nodes.builtin.latent.vae import vae_decode, vae_decode_tiled, vae_encode, vae_encode_tiled
from nodes.models.loading.forward import denoise, prepare
from nodes.models.text.textual_inversion import Embeddings
from nodes.values import Cond, CondBatch, Latent
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid
from tests.nodes.reference import MODELS, distance, tensors
from tests.tiny_models.handles import Parts, tiny_parts

TOLERANCE = 5e-5
FEATURES = 64
"""How many of a token's features are compared, evenly chosen."""
FAMILIES = ["sd15", "sd21", "sd21_v", "sdxl", "sd3", "sd3_t5", "flux_dev"]
"""FLUX.1 schnell shares all but its transformer with dev."""
TYPES = {
    "sd15": "sd15_eps",
    "sd21": "sd15_eps",
    "sd21_v": "sd21_v",
    "sdxl": "sdxl_eps",
    "sd3": "sd3_flow_shift3",
    "sd3_t5": "sd3_flow_shift3",
    "flux_dev": "flux_dev_shift1.15",
    "flux_schnell": "flux_schnell_shift1",
}
"""Which of the model types whose schedules are compared each is."""
SLOW = {"sd21_v", "sd3_t5"}
"""Large, and like the ones before them."""
PROMPTS = [
    "a photo of a (red:1.3) cat on a (wooden (old:1.2) table), detailed",
    "",
    "a photo of a cat, " + "very detailed oil painting of a castle on a hill at sunset, " * 9
    + "(masterpiece:1.4)",
]  # fmt: skip


@pytest.fixture(scope="module")
def parts(request: pytest.FixtureRequest) -> Parts:
    """One family's at a time, so that its weights can go when the next one's come."""
    return tiny_parts(request.param)


@pytest.fixture
def family(request: pytest.FixtureRequest) -> str:
    """Which one's."""
    return request.node.callspec.params["parts"]


@pytest.fixture
def reference(family: str) -> dict[str, Tensor]:
    """That family's numbers."""
    return tensors(f"modules/{family}")


def each(*families: str, slow: Collection[str] = SLOW) -> pytest.MarkDecorator:
    """A case for each family."""
    cases = [
        pytest.param(family, marks=pytest.mark.slow if family in slow else ())
        for family in families
    ]
    return pytest.mark.parametrize("parts", cases, indirect=True)


def close(found: Tensor, wanted: Tensor) -> bool:
    off = distance(found, wanted)
    print(f"off by {off:.1e}")
    return off <= TOLERANCE


def nothing_found() -> Embeddings:
    return Embeddings(None, print)


@pytest.mark.parametrize("number", range(len(PROMPTS)))
@each(*FAMILIES)
def test_a_prompt_is_encoded(parts, number, reference):
    """Where the reference has it, also by another layer than the family's own."""
    texts = [key for key in reference if key.startswith(f"text{number}") and key.endswith("/cond")]
    assert texts

    for key in texts:
        text = key.removesuffix("/cond")
        layer = text.partition("_skip")[2]
        clip = replace(parts.clip, layer=int(layer) if layer else None)
        encoded = clip.encode(PROMPTS[number], nothing_found())
        stride = encoded.tokens.shape[-1] // FEATURES
        assert close(encoded.tokens[..., ::stride], reference[key])
        assert encoded.pooled is not None
        assert close(encoded.pooled, reference[f"{text}/pooled"])


@pytest.mark.parametrize("number", range(3))
@each(*FAMILIES, "flux_schnell")
def test_a_latent_is_denoised(parts, number, reference):
    key = sorted(key for key in reference if key.startswith("model/"))[number]
    model, facts = parts.model, parts.model.parameterization
    name = key.removeprefix("model/sigma")
    level = facts.sigma_max if name == "14.6146" else float(name)
    encoded = parts.clip.encode(PROMPTS[0], nothing_found())
    cond = prepare(model, Cond(encoded.tokens, encoded.pooled), (8, 12))
    noise = grid(reference[key].shape, 0.731) * 1.5
    x = noise if facts.is_flow else noise * max(level, 0.3)

    x0 = denoise(model, x, torch.full((2,), level), twice(cond))

    assert close(x0, reference[key])


def twice(cond: Cond) -> CondBatch:
    """As it is for two samples."""
    assert cond.pooled is not None
    extras = {
        name: value.repeat(2, *[1] * (value.ndim - 1))
        for name, value in cond.extras.items()
        if isinstance(value, Tensor)
    }
    return CondBatch(cond.tokens.repeat(2, 1, 1), cond.pooled.repeat(2, 1), extras)


@each(*FAMILIES, "flux_schnell")
def test_the_noise_levels_are_those_of_the_models_type(parts, family):
    facts, expected = parts.model.parameterization, MODELS[TYPES[family]]
    given = torch.randn(2, 5, 1, 1, 1, generator=torch.Generator().manual_seed(1))
    sigma = expected.sigmas[[10, 300, 500, 800, 999]]

    assert torch.equal(facts.sigmas, expected.sigmas)
    assert torch.equal(facts.timestep(sigma), expected.timestep(sigma))
    assert torch.equal(
        facts.to_x0(given[0], sigma, given[1]), expected.to_x0(given[0], sigma, given[1])
    )


@each(*FAMILIES)
def test_latents_are_scaled_for_the_model(parts, reference):
    format_, given = parts.model.latent_format, grid(reference["latent_format/in"].shape, 0.9)

    assert torch.equal(format_.to_model(given), reference["latent_format/in"])
    assert torch.equal(format_.to_raw(given), reference["latent_format/out"])


def picture(height: int, width: int, step: float) -> Tensor:
    return grid((1, height, width, 3), step) * 0.5 + 0.5


def latent(parts: Parts, height: int, width: int) -> Latent:
    return Latent(grid((1, parts.vae.channels, height, width), 0.377))


@each(*FAMILIES)
def test_a_picture_is_encoded(parts, reference, tmp_path):
    found = vae_encode(picture(80, 96, 0.013), parts.vae, Bench(tmp_path))
    odd = vae_encode(picture(77, 99, 0.017), parts.vae, Bench(tmp_path))

    assert close(found.samples, reference["vae/encode"])
    assert close(odd.samples, reference["vae/encode_odd"])


@each(*FAMILIES)
def test_a_latent_is_decoded(parts, reference, tmp_path):
    image = vae_decode(latent(parts, 10, 12), parts.vae, Bench(tmp_path))

    assert close(image[:, ::2, ::2], reference["vae/decode"])


@each(*FAMILIES, slow=FAMILIES[1:])
def test_tiles_are_blended_as_in_the_reference(parts, reference, tmp_path):
    vae, bench = parts.vae, Bench(tmp_path)
    pixels = picture(128, 160, 0.013)

    image = vae_decode_tiled(latent(parts, 16, 20), vae, bench, tile_size=64, overlap=16)
    encoded = vae_encode_tiled(pixels, vae, bench, tile_size=64, overlap=16)

    assert close(image[:, ::2, ::2], reference["vae/decode_tiled"])
    assert close(encoded.samples, reference["vae/encode_tiled"])
