"""Guidance rules against closed forms: vectors for which the papers' equations are done by hand."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nodes.sampling.guidance.rules import (
    AdaptiveProjectedGuidance,
    CfgCurve,
    DualCfg,
    EpsilonScaling,
    FreSca,
    GuidanceInputs,
    PerpNeg,
    RenormCfg,
    RescaledCfg,
    cfg_zero_star_scale,
    classifier_free_guidance,
    tangential_damping,
)
from nodes.sampling.guidance.settings import PLAIN

ACROSS, ALONG = torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0, 0.0])


def shaped(*values: Tensor) -> Tensor:
    """A batch of one-pixel latents."""
    return torch.stack(values)[:, :, None, None]


def drawn(number: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    return list(torch.randn(number, 2, 4, 6, 6, generator=generator))


def terms(*others: Tensor, cfg: float = 3.0) -> GuidanceInputs:
    x, cond, uncond = drawn(3)
    return GuidanceInputs(x, torch.tensor([2.0, 0.5]), cond, uncond, cfg, others)


def std(x: Tensor) -> Tensor:
    return x.std(dim=(1, 2, 3), keepdim=True)


def test_full_rescaling_keeps_the_deviation_of_the_positive_velocity() -> None:
    given = terms(cfg=7.0)
    s = given.sigma.view(-1, 1, 1, 1)

    def velocity(x0: Tensor) -> Tensor:
        return (given.x / (s**2 + 1) - x0) * (s**2 + 1).sqrt() / s

    found = RescaledCfg(1.0)(given)

    torch.testing.assert_close(std(velocity(found)), std(velocity(given.cond)))


def length(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1)


def test_a_velocity_gets_no_longer_than_the_positive_one_allows() -> None:
    given = terms(cfg=7.0)
    plain = given.x - classifier_free_guidance(given)

    found = given.x - RenormCfg(most=0.9)(given)

    torch.testing.assert_close(length(found), 0.9 * length(given.x - given.cond))
    torch.testing.assert_close(found / length(found)[:, None, None, None], direction(plain))
    torch.testing.assert_close(RenormCfg(most=50.0)(given), classifier_free_guidance(given))
    torch.testing.assert_close(RenormCfg(most=0.0)(given), classifier_free_guidance(given))


def direction(x: Tensor) -> Tensor:
    return x / length(x)[:, None, None, None]


def test_guidance_that_is_cut_off_leaves_the_positive_prediction() -> None:
    given = terms(cfg=7.0)  # at the levels 2 and 0.5

    found = RenormCfg(below=2.0, most=0.0)(given)

    torch.testing.assert_close(found[0], given.cond[0])
    torch.testing.assert_close(found[1], classifier_free_guidance(given)[1])


def test_two_conditions_add_up_or_nest() -> None:
    (second,) = drawn(4)[3:]
    given = terms(second, cfg=3.0)

    regular, nested = (DualCfg(2.0, style)(given) for style in ("regular", "nested"))

    n, a, b = given.uncond, given.cond, second
    torch.testing.assert_close(regular, n + 2 * (b - n) + 3 * (a - b))
    torch.testing.assert_close(nested, n + 2 * (b + 3 * (a - b) - n))


def test_only_what_is_across_the_positive_prompt_pushes() -> None:
    empty = shaped(torch.zeros(4), torch.zeros(4))
    positive, negative = shaped(2 * ALONG, 2 * ALONG), shaped(ALONG + ACROSS, ALONG)
    given = GuidanceInputs(empty, torch.tensor(1.0), positive, negative, 3.0, (empty,))

    found = PerpNeg(0.5)(given)

    torch.testing.assert_close(found, shaped(3 * (2 * ALONG - 0.5 * ACROSS), 6 * ALONG))


def test_projected_guidance_drops_what_is_parallel_and_too_long() -> None:
    zero = torch.zeros(4)
    positive = shaped(2 * ALONG)
    negative = positive - shaped(3 * ALONG + 4 * ACROSS)  # the guidance is 3 along and 4 across
    given = GuidanceInputs(shaped(zero), torch.tensor(1.0), positive, negative, 2.0)

    without = AdaptiveProjectedGuidance(0.0, 0.0)(given)
    shorter = AdaptiveProjectedGuidance(0.0, 2.5)(given)
    half = AdaptiveProjectedGuidance(0.5, 0.0)(given)

    torch.testing.assert_close(without, positive + shaped(4 * ACROSS))
    torch.testing.assert_close(shorter, positive + shaped(2 * ACROSS))
    torch.testing.assert_close(half, positive + shaped(1.5 * ALONG + 4 * ACROSS))


def test_momentum_adds_the_past_guidance() -> None:
    given = terms()
    update = given.cond - given.uncond
    rule = AdaptiveProjectedGuidance(1.0, 0.0, momentum=-0.5)

    first, second, third = (rule(given) for _ in range(3))

    torch.testing.assert_close(first, given.cond + 2 * update)
    torch.testing.assert_close(second, given.cond + 2 * 0.5 * update)
    torch.testing.assert_close(third, given.cond + 2 * 0.75 * update)


def test_the_fitted_negative_is_as_near_as_a_multiple_can_be() -> None:
    """What remains between the velocities stands on the negative one."""
    given = terms()

    fitted = cfg_zero_star_scale(given)

    negative, left = given.x - given.uncond, (given.x - given.cond) - (given.x - fitted.uncond)
    assert float((negative * left).sum(dim=(1, 2, 3)).abs().max()) < 1e-3
    nothing = replace(given, uncond=given.x)
    assert torch.equal(cfg_zero_star_scale(nothing).uncond, given.x)


def test_damping_keeps_the_first_singular_direction_of_the_negative() -> None:
    given = terms()

    damped = tangential_damping(given)

    for row in range(2):
        both = torch.stack([(given.x - given.cond)[row], (given.x - given.uncond)[row]])
        first = torch.linalg.svd(both.flatten(1), full_matrices=False)[2][0]
        negative = both[1].flatten()
        expected = (negative @ first) * first
        torch.testing.assert_close(
            (given.x - damped.uncond)[row].flatten(), expected, rtol=1e-3, atol=1e-3
        )
    assert damped.cond is given.cond


def test_coarse_and_fine_guidance_have_a_scale_each() -> None:
    """A guidance that is even but for one fast wave."""
    given = terms()
    wave = torch.ones(1, 1, 6, 6)
    wave[..., 1::2] = -1
    apart = replace(given, cond=given.uncond + 2 + wave)

    prepared = FreSca(0.5, 3.0, cutoff=1)(apart)

    torch.testing.assert_close(
        prepared.cond - given.uncond, (1 + 3 * wave).expand_as(given.cond), rtol=1e-4, atol=1e-4
    )
    assert prepared.uncond is given.uncond


def test_scaled_noise_is_divided() -> None:
    x, x0 = drawn(2)

    torch.testing.assert_close(x - EpsilonScaling(1.25)(x, x0), (x - x0) / 1.25)


def test_a_number_an_image_guides_each_by_its_own() -> None:
    given = terms(drawn(4)[3])
    each = replace(given, cfg=torch.tensor([1.5, 4.0]).view(-1, 1, 1, 1))

    for rule in (
        classifier_free_guidance,
        RescaledCfg(),
        RenormCfg(1.0, 0.8),
        AdaptiveProjectedGuidance(0.3, 1.0),
        DualCfg(2.0, "nested"),
    ):
        together = rule(each)
        for row, cfg in enumerate((1.5, 4.0)):
            torch.testing.assert_close(together[row], rule(replace(given, cfg=cfg))[row])


def test_a_course_goes_along_a_line_or_half_a_cosine() -> None:
    line, cosine, still = (CfgCurve(shape, 1.0, 0.0) for shape in ("linear", "cosine", "constant"))

    assert [line(at, 5) for at in range(5)] == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])
    bow = [(1 + math.cos(math.pi * at / 4)) / 2 for at in range(5)]
    assert [cosine(at, 5) for at in range(5)] == pytest.approx(bow)
    assert [still(at, 5) for at in range(5)] == [1.0] * 5
    assert line(0, 1) == 1.0


def test_a_course_holds_inside_its_interval_only() -> None:
    inside = CfgCurve("constant", 0.7, 0.0, start=0.2, end=0.8)

    assert [inside(at, 10) for at in range(10)] == [0, 0, *[0.7] * 6, 0, 0]


def test_a_share_is_of_what_lies_above_one() -> None:
    half = replace(PLAIN, cfg_schedule=CfgCurve("constant", 0.5))

    assert half.cfg_at(7.0, 0, 10) == 4.0
    assert half.cfg_at(torch.tensor([7.0, 3.0]), 0, 10).tolist() == [4.0, 2.0]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    assert PLAIN.cfg_at(7.0, 0, 10) == 7.0
