"""Self-attention guidance against the paper's steps, written out (arXiv:2210.00939)."""

from typing import Any

import pytest
import torch
from torch.nn import functional

from nodes.builtin.sampling.ksampler import ksampler
from nodes.builtin.sampling.skip_layer_guidance import self_attention_guidance
from nodes.builtin.sampling.step_cache import easy_cache
from nodes.models.loading.forward import denoise
from nodes.models.networks.base.errors import WrongNetworkError
from nodes.sampling.guidance.loop import in_model_space
from nodes.values import CondBatch, Latent
from tests.nodes.bench import Bench
from tests.nodes.reference import distance
from tests.tiny_models.samplable import samplable

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: samplable(folder, name) for name in ("sd15", "flux")}


@pytest.fixture
def sample(tmp_path, kinds):
    def run(model, **more):
        kind = kinds["sd15"]
        given: dict[str, Any] = {
            "seed": 7,
            "steps": 1,
            "cfg": 3.0,
            "sampler_name": "euler",
            "scheduler": "simple",
            "positive": kind.text(0.3),
            "negative": kind.text(0.7),
            "latent_image": kind.blank(1, 16),
            "ctx": Bench(tmp_path),
        }
        return ksampler(model=model, **{**given, **more}).samples

    return run


def blurred(x, sigma):
    """By a window of 9 x 9 latent pixels, which sees the picture mirrored at its border."""
    at = torch.arange(-4.0, 5.0)
    line = torch.exp(-(at**2) / (2 * sigma**2))
    line /= line.sum()
    window = (line[:, None] * line).expand(x.shape[1], 1, 9, 9)
    return functional.conv2d(functional.pad(x, (4, 4, 4, 4), "reflect"), window, groups=x.shape[1])


def watched(kind, x, sigma, cond):
    """The prediction, and where the middle looks more than on average, by diffusers' own scores."""
    network: Any = kind.model.model.network.module()
    attention, seen = network.mid_block.attentions[0].transformer_blocks[0].attn1, []

    def look(_, args, kwargs):
        hidden = args[0] if args else kwargs["hidden_states"]
        query, key = (
            attention.head_to_batch_dim(layer(hidden)) for layer in (attention.to_q, attention.to_k)
        )
        seen.append(attention.get_attention_scores(query, key))

    hook = attention.register_forward_pre_hook(look, with_kwargs=True)
    x0 = denoise(kind.model, x, sigma, cond)
    hook.remove()
    (scores,) = seen
    given = scores.mean(dim=0).sum(dim=0)
    side = int(len(given) ** 0.5)
    return x0, functional.interpolate(given.reshape(1, 1, side, side), x.shape[-2:]) > 1.0


def by_hand(kind, x, sigma, scale, blur):
    cond, uncond = (CondBatch(kind.text(step).conds[0].tokens) for step in (0.3, 0.7))
    good = denoise(kind.model, x, sigma, cond)
    bad, looked = watched(kind, x, sigma, uncond)
    assert 0 < looked.float().mean() < 1
    worse = torch.where(looked, blurred(bad, blur), bad)
    noise = (x - bad) / sigma
    again = denoise(kind.model, worse + sigma * noise, sigma, uncond)
    guided_noise = (x - (bad + 3.0 * (good - bad))) / sigma
    guided_noise += scale * (noise - (worse + sigma * noise - again) / sigma)
    return x - sigma * guided_noise


def test_it_guides_away_from_a_prediction_that_is_blurred_where_the_model_looks(kinds, sample):
    """One step of Euler gives x0 itself."""
    kind = kinds["sd15"]
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(7))
    sigma = torch.tensor([kind.model.parameterization.sigma_max])
    x = kind.model.parameterization.add_noise(
        sigma[0], noise, torch.zeros_like(noise), max_denoise=True
    )

    found = sample(self_attention_guidance(kind.model, 0.8, 1.5))

    made = in_model_space(found, kind.model.latent_format, torch.device("cpu"))
    expected = by_hand(kind, x, sigma, 0.8, 1.5)
    assert distance(made, expected) <= 1e-4
    assert distance(made, by_hand(kind, x, sigma, 0.0, 1.5)) > 1e-3


def test_at_scale_0_nothing_changes_and_at_cfg_1_it_guides_all_the_same(kinds, sample):
    model = kinds["sd15"].model

    still, plain = sample(self_attention_guidance(model, 0.0), steps=2), sample(model, steps=2)
    alone = sample(self_attention_guidance(model), steps=2, cfg=1.0)

    assert distance(still, plain) <= 1e-4
    assert distance(alone, sample(model, steps=2, cfg=1.0)) > 1e-3
    assert torch.equal(alone, sample(self_attention_guidance(model), steps=2, cfg=1.0))


def test_each_image_of_a_wide_batch_is_guided_by_its_own_attention(kinds, sample):
    kind = kinds["sd15"]
    model = self_attention_guidance(kind.model)
    wide = Latent(torch.zeros(2, 4, 9, 20))

    made = sample(model, latent_image=wide, steps=2)

    assert made.shape == wide.samples.shape
    first = sample(model, latent_image=Latent(wide.samples[:1]), steps=2)
    assert distance(made[:1], first) <= 1e-4


def test_steps_from_a_cache_are_not_looked_at(kinds, sample):
    model = kinds["sd15"].model
    cached = easy_cache(self_attention_guidance(model), 10.0, 0.0, 1.0, verbose=False)

    made = sample(cached, steps=6)

    assert made.isfinite().all()
    assert distance(made, sample(self_attention_guidance(model), steps=6)) > 1e-4


def test_a_transformer_is_refused(kinds):
    with pytest.raises(WrongNetworkError, match="SelfAttentionGuidance"):
        self_attention_guidance(kinds["flux"].model)
