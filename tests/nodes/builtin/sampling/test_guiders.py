"""Guiders and guidance nodes at work on a small model."""

from dataclasses import replace
from typing import Literal, TypeAlias

import pytest
import torch

from nodes.builtin.sampling.custom import random_noise, sampler_custom_advanced
from nodes.builtin.sampling.guidance import (
    apg,
    cfg_norm,
    cfg_override,
    cfg_zero_star,
    epsilon_scaling,
    guidance_schedule,
    renorm_cfg,
    rescale_cfg,
    tcfg,
)
from nodes.builtin.sampling.guiders import (
    basic_guider,
    cfg_guider,
    dual_cfg_guider,
    perp_neg,
    perp_neg_guider,
)
from nodes.builtin.sampling.schedulers import basic_scheduler
from nodes.sampling.guidance.rules import CfgNorm
from nodes.values import Conditioning
from tests.nodes.bench import Bench
from tests.tiny_models.samplable import samplable

pytestmark = pytest.mark.usefixtures("one_thread")

Style: TypeAlias = Literal["regular", "nested"]
STYLES: tuple[Style, ...] = ("regular", "nested")


@pytest.fixture(scope="module")
def sd15(tmp_path_factory):
    return samplable(tmp_path_factory.mktemp("models"))


@pytest.fixture
def sample(sd15, tmp_path):
    def run(guider, steps=3):
        made = sampler_custom_advanced(
            noise=random_noise(7),
            guider=guider,
            sampler="euler",
            sigmas=basic_scheduler(sd15.model, "simple", steps),
            latent_image=sd15.blank(2),
            ctx=Bench(tmp_path),
        )
        return made.output.samples

    return run


def close(found, expected, most=1e-4):
    assert float((found - expected).abs().max() / expected.std()) <= most


def dual(sd15, cfg_conds, cfg_second, style: Style = "regular"):
    return dual_cfg_guider(
        model=sd15.model,
        cond1=sd15.text(0.3),
        cond2=sd15.text(0.5),
        negative=sd15.text(0.7),
        cfg_conds=cfg_conds,
        cfg_cond2_negative=cfg_second,
        style=style,
    )


@pytest.mark.parametrize("style", ["regular", "nested"])
def test_two_conditions_are_plain_guidance_where_one_of_them_says_nothing(sd15, sample, style):
    """At guidances of 1, only the first holds."""
    close(sample(dual(sd15, 1.0, 1.0, style)), sample(basic_guider(sd15.model, sd15.text(0.3))))


def test_two_conditions_that_are_one_give_plain_guidance(sd15, sample):
    alike = replace(dual(sd15, 2.0, 3.0), positive=sd15.text(0.5))

    expected = cfg_guider(sd15.model, sd15.text(0.5), sd15.text(0.7), 3.0)
    close(sample(alike), sample(expected))


def test_the_second_condition_counts(sd15, sample):
    regular, nested = (sample(dual(sd15, 2.0, 3.0, style)) for style in STYLES)
    without = sample(cfg_guider(sd15.model, sd15.text(0.3), sd15.text(0.7), 2.0))

    assert not torch.allclose(regular, nested, atol=1e-2)
    assert not torch.allclose(regular, without, atol=1e-2)


def test_a_perpendicular_negative_without_weight_is_guidance_from_the_empty_prompt(sd15, sample):
    guider = perp_neg_guider(
        model=sd15.model,
        positive=sd15.text(0.3),
        negative=sd15.text(0.7),
        empty_conditioning=sd15.text(0.9),
        cfg=3.0,
        neg_scale=0.0,
    )

    close(sample(guider), sample(cfg_guider(sd15.model, sd15.text(0.3), sd15.text(0.9), 3.0)))


def test_a_negative_that_says_the_same_is_left_out(sd15, sample):
    """None of it is across the positive prompt."""
    same = perp_neg_guider(
        model=sd15.model,
        positive=sd15.text(0.3),
        negative=sd15.text(0.3),
        empty_conditioning=sd15.text(0.9),
        cfg=3.0,
    )

    close(sample(same), sample(cfg_guider(sd15.model, sd15.text(0.3), sd15.text(0.9), 3.0)))


def test_the_older_node_does_the_same_by_the_model(sd15, sample):
    given = {"positive": sd15.text(0.3), "negative": sd15.text(0.7)}
    new = perp_neg_guider(
        model=sd15.model, empty_conditioning=sd15.text(0.9), cfg=3.0, neg_scale=0.7, **given
    )
    old = cfg_guider(perp_neg(sd15.model, sd15.text(0.9), 0.7), cfg=3.0, **given)

    assert torch.equal(sample(new), sample(old))


def guided(sd15, model, cfg=4.0):
    return cfg_guider(model, sd15.text(0.3), sd15.text(0.7), cfg)


@pytest.mark.parametrize(
    "patch",
    [
        lambda model: rescale_cfg(model, 0.0),
        lambda model: renorm_cfg(model, 100.0, 0.0),
        lambda model: apg(model, eta=1.0, norm_threshold=0.0),
        lambda model: epsilon_scaling(model, 1.0),
        lambda model: guidance_schedule(model, "constant", 1.0),
    ],
)
def test_settings_that_mean_nothing_change_nothing(sd15, sample, patch):
    close(sample(guided(sd15, patch(sd15.model))), sample(guided(sd15, sd15.model)), 1e-3)


@pytest.mark.parametrize(
    "patch",
    [
        rescale_cfg,
        renorm_cfg,
        lambda model: apg(model, eta=0.0, norm_threshold=5.0, momentum=-0.5),
        lambda model: cfg_zero_star(model).patched_model,
        lambda model: tcfg(model).patched_model,
        epsilon_scaling,
        guidance_schedule,
    ],
)
def test_guidance_nodes_change_what_is_sampled_and_leave_the_model_alone(sd15, sample, patch):
    before = sample(guided(sd15, sd15.model))

    changed = sample(guided(sd15, patch(sd15.model)))

    assert changed.isfinite().all()
    assert float((changed - before).abs().max() / before.std()) > 1e-3
    assert torch.equal(sample(guided(sd15, sd15.model)), before)


def test_preparations_and_corrections_add_up_with_a_rule(sd15, sample):
    """In the order in which they were said, whatever the rule."""
    both = tcfg(cfg_zero_star(sd15.model).patched_model).patched_model
    ruled = epsilon_scaling(rescale_cfg(both))

    assert len(ruled.guidance.pre_cfg) == 2
    assert len(ruled.guidance.post_cfg) == 1
    kept, without = sample(guided(sd15, ruled)), sample(guided(sd15, rescale_cfg(both)))
    assert not torch.allclose(kept, without, atol=1e-3)


def test_no_guidance_at_any_step_is_following_the_prompt_alone(sd15, sample):
    none = guidance_schedule(sd15.model, "constant", 0.0)

    close(sample(guided(sd15, none)), sample(basic_guider(sd15.model, sd15.text(0.3))))


def test_guidance_in_an_interval_asks_for_the_negative_only_there(sd15, sample):
    """Two of four steps: the first and the last are cheaper."""
    interval = guidance_schedule(sd15.model, "constant", 1.0, 1.0, 0.25, 0.75)
    rows: list[int] = []
    network = sd15.model.model.network.module()
    hook = network.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))

    sample(guided(sd15, interval), steps=4)

    hook.remove()
    assert rows == [2, 4, 4, 2]


def test_one_half_of_the_guidance_is_another_guidance(sd15, sample):
    half = guidance_schedule(sd15.model, "constant", 0.5)

    close(sample(guided(sd15, half, cfg=5.0)), sample(guided(sd15, sd15.model, cfg=3.0)))


def test_a_prompt_of_no_conditions_counts_as_nothing(sd15, sample):
    nothing = cfg_guider(sd15.model, sd15.text(0.3), Conditioning(()), 3.0)

    assert sample(nothing).isfinite().all()


@pytest.mark.parametrize("pre_cfg", [True, False])
def test_a_norm_changes_nothing_where_there_is_no_guidance(sd15, sample, pre_cfg):
    normed = cfg_norm(sd15.model, 1.0, pre_cfg).patched_model

    guider = cfg_guider(normed, sd15.text(0.3), sd15.text(0.7), 1.0)
    close(sample(guider), sample(basic_guider(sd15.model, sd15.text(0.3))))


def test_a_norm_shortens_the_guided_prediction_to_the_positive_one():
    x, cond, guided = (torch.randn(2, 4, 5, 5, generator=seeded(k)) for k in range(3))
    ratio = cond.norm(dim=1, keepdim=True) / guided.norm(dim=1, keepdim=True)

    torch.testing.assert_close(
        CfgNorm(0.5).apply(x, guided, cond), guided * ratio.clamp(max=1.0) * 0.5
    )
    noise = x - CfgNorm(1.0, of_noise=True).apply(x, guided, cond)
    torch.testing.assert_close(noise.norm(dim=1), (x - cond).norm(dim=1))
    torch.testing.assert_close(
        torch.nn.functional.cosine_similarity(noise, x - guided), torch.ones(2, 5, 5)
    )


def test_a_norm_and_another_rule_hold_in_any_order(sd15, sample):
    def guided(model):
        return sample(cfg_guider(model, sd15.text(0.3), sd15.text(0.7), 5.0))

    first = guided(rescale_cfg(cfg_norm(sd15.model).patched_model))
    last = guided(cfg_norm(rescale_cfg(sd15.model)).patched_model)

    assert torch.equal(first, last)
    assert not torch.allclose(first, guided(rescale_cfg(sd15.model)), atol=1e-3)


def test_another_scale_holds_in_its_part_of_the_schedule_the_last_one_first(sd15, sample):
    def guided(model, cfg):
        return sample(cfg_guider(model, sd15.text(0.3), sd15.text(0.7), cfg))

    whole = cfg_override(sd15.model, 3.0)
    assert torch.equal(guided(whole, 8.0), guided(sd15.model, 3.0))
    assert torch.equal(guided(cfg_override(whole, 2.0), 8.0), guided(sd15.model, 2.0))
    late = cfg_override(sd15.model, 1.0, 0.6, 1.0)
    assert not torch.allclose(guided(late, 8.0), guided(sd15.model, 8.0), atol=1e-3)
    assert torch.equal(guided(cfg_override(late, 8.0), 4.0), guided(sd15.model, 8.0))


def seeded(number):
    return torch.Generator().manual_seed(number)
