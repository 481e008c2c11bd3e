"""Guidance against the reference numbers: regions, merging of model calls, and the arithmetic."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from nodes.sampling.conditioning.denoiser import PreparedCond
from nodes.sampling.conditioning.regions import resize_mask, resolve
from nodes.sampling.guidance.loop import Request, noise_for, sample
from nodes.sampling.guidance.planner import GuidancePlanner, with_ranges
from nodes.sampling.guidance.rules import GuidanceInputs, RescaledCfg, classifier_free_guidance
from nodes.sampling.guidance.settings import PLAIN, PerturbedGuidance
from nodes.sampling.noise_schedule.parameterization import Discrete
from nodes.sampling.samplers.registry import Call, sigmas_for
from nodes.values import Area, Cond, Conditioning, Latent
from tests.nodes.closed_form import ClosedForm
from tests.nodes.reference import MODELS, distance, numbers, tensors

TOLERANCE = 1e-4
MASKS = {k.removeprefix("mask/"): v for k, v in tensors("cfg").items() if k.startswith("mask/")}


def cond(*values: float) -> Cond:
    """A text with a token a value, one feature each."""
    return Cond(torch.tensor(values).view(1, -1, 1))


A, B, N = cond(0.5), cond(-0.8), cond(-0.3)
CENTER, CORNER = Area(8, 8, 4, 4), Area(8, 8, 0, 0)
LEFT = MASKS["left"]
CASES: dict[str, tuple[list[Cond], list[Cond]]] = {
    "plain": ([A], [N]),
    "combine": ([A, B], [N]),
    "combine_neg": ([A], [N, B]),
    "three": ([A, B, cond(0.2)], [N]),
    "concat": ([cond(0.5, 0.05)], [N]),
    "concat_rev": ([cond(0.05, 0.5)], [N]),
    "concat_3_1": ([cond(0.2, 0.2, 0.2, -0.8)], [N]),
    "average_0.3": ([cond(-0.41)], [N]),
    "average_1.0": ([A], [N]),
    "average_len_mismatch": ([cond(0.5, -0.8)], [N]),
    "average_len_mismatch2": ([cond(0.2, 0.2, 0.2, -0.8)], [N]),
    "zero_out_neg": ([A], [cond(0.0)]),
    "area_tl": ([replace(A, area=CORNER), B], [N]),
    "area_center": ([replace(A, area=CENTER), B], [N]),
    "area_center_strength2": ([replace(A, area=CENTER, strength=2.0), B], [N]),
    "area_only": ([replace(A, area=CENTER)], [N]),
    "area_overflow": ([replace(A, area=Area(12, 12, 8, 8)), B], [N]),
    "area_pct": ([replace(A, area=Area(4, 8, 8, 4)), B], [N]),
    "area_small": ([replace(A, area=Area(1, 1, 8, 8)), B], [N]),
    "area_two": ([replace(A, area=Area(16, 8, 0, 0)), replace(B, area=Area(16, 8, 0, 8))], [N]),
    "area_strength": ([replace(A, strength=0.4), B], [N]),
    "area_neg": ([A], [B, replace(N, area=CENTER)]),
    "mask_left": ([replace(A, mask=LEFT), B], [N]),
    "mask_left_only": ([replace(A, mask=LEFT)], [N]),
    "mask_center": ([replace(A, mask=MASKS["center32"], mask_strength=0.7), B], [N]),
    "mask_bounds": ([replace(A, mask=MASKS["center32"], mask_bounds=True), B], [N]),
    "mask_batch2": ([replace(A, mask=MASKS["batch2"]), B], [N]),
    "mask_pair": ([replace(A, mask=LEFT), replace(B, mask=1 - LEFT)], [N]),
    "mask_zero_bounds": ([replace(A, mask=LEFT * 0, mask_bounds=True), B], [N]),
    "time_0_0.5": ([replace(A, end=0.5), replace(B, start=0.5)], [N]),
    "time_0.2_0.8": ([replace(A, start=0.2, end=0.8), B], [N]),
    "time_gap": ([replace(A, end=0.4)], [N]),
    "time_neg_late": ([A], [replace(N, start=0.5)]),
    "time_area": ([replace(A, area=CENTER, strength=1.5, end=0.5), B], [N]),
}


@pytest.mark.parametrize("key", numbers("cfg")["cases"])
def test_conditions_equal_the_reference_in_result_and_model_calls(key: str) -> None:
    """Six Euler steps; the reference lists the shape and sigma of each model call."""
    name, case, cfg = key.split("/")
    positive, negative = (Conditioning(tuple(conds)) for conds in CASES[case])
    model, latent = ClosedForm(MODELS[name]), Latent(torch.zeros(2, 4, 16, 16))
    sigmas = sigmas_for(MODELS[name], "normal", "euler", 6, 1.0)
    request = Request(
        denoiser=model,
        sampler="euler",
        sigmas=sigmas,
        positive=positive,
        negative=negative,
        cfg=float(cfg.removeprefix("cfg")),
        seed=42,
    )

    found = sample(request, latent, noise_for(latent, 42))

    expected_calls = numbers("cfg")["cases"][key]["model_calls"]
    assert [shape for shape, _ in model.calls] == [shape for shape, _ in expected_calls]
    assert [s for _, s in model.calls] == pytest.approx([s for _, s in expected_calls])
    assert distance(found, tensors("cfg")[f"{key}/euler6"]) <= TOLERANCE


@pytest.mark.parametrize("scale", [-2.0, 0.0, 1.0, 1.5, 7.5])
def test_classifier_free_guidance_equals_the_reference(scale: float) -> None:
    given = tensors("cfg")
    terms = GuidanceInputs(
        given["cfg/x"], torch.tensor(2.0), given["cfg/cond"], given["cfg/uncond"], scale
    )

    assert distance(classifier_free_guidance(terms), given[f"cfg/result_{scale}"]) <= TOLERANCE


def test_rescaled_guidance_equals_the_reference() -> None:
    given = tensors("cfg")
    terms = GuidanceInputs(
        given["cfg/x"], torch.tensor(2.0), given["cfg/cond"], given["cfg/uncond"], 7.5
    )

    assert (
        distance(RescaledCfg(0.7)(terms), given["cfg/RescaleCFG_0.7_scale7.5_sigma2"]) <= TOLERANCE
    )


def test_rescaling_by_nothing_is_classifier_free_guidance() -> None:
    x, positive, negative = torch.randn(3, 2, 4, 4, 4, generator=torch.Generator().manual_seed(3))
    terms = GuidanceInputs(x, torch.tensor([2.0, 5.0]), positive, negative, 3.0)

    assert distance(RescaledCfg(0.0)(terms), classifier_free_guidance(terms)) < 1e-5


def guidance(positive: list[Cond], negative: list[Cond], cfg: float = 4.0) -> GuidancePlanner:
    branches = [[PreparedCond.from_cond(c) for c in conds] for conds in (positive, negative)]
    resolved = resolve(branches[0], branches[1], (16, 16), Discrete.scaled_linear())
    return GuidancePlanner(*resolved, cfg)


def call(*sigma: float, wants_uncond: bool = False) -> Call:
    return Call(torch.zeros(2, 4, 16, 16), torch.tensor(sigma).squeeze(), 0, wants_uncond)


def test_negative_is_asked_for_at_cfg_1_only_by_samplers_that_want_it() -> None:
    plain = guidance([A], [N], cfg=1.0)

    without, with_ = (plain.plan(call(1.0, wants_uncond=w)) for w in (False, True))

    assert [len(c.x) for c in without] == [2]
    assert [len(c.x) for c in with_] == [4]


def test_each_sample_keeps_its_own_sigma() -> None:
    (merged,) = guidance([A], [N]).plan(call(1.0, 2.0))

    assert merged.sigma.tolist() == [1.0, 2.0, 1.0, 2.0]


class Change:
    def alter(self, network: nn.Module) -> None:
        del network


def test_the_conditions_of_a_call_are_gathered_once() -> None:
    settings = replace(PLAIN, perturbed=(PerturbedGuidance(Change(), 2.0),))
    planner = guidance([cond(1.0, 2.0)], [cond(3.0)])
    ranges = with_ranges(settings.perturbed, Discrete.scaled_linear())
    planner = replace(planner, settings=settings, perturbed=ranges)

    first, second = (planner.plan(call(sigma)) for sigma in (5.0, 2.0))
    (wider,) = planner.plan(replace(call(5.0), x=torch.zeros(3, 4, 16, 16)))[:1]

    assert len(first) == 2
    for one, other in zip(first, second, strict=True):
        assert one.cond is other.cond
    assert len(wider.cond.tokens) == 6


def test_texts_of_unlike_lengths_merge_by_repeating_them() -> None:
    (merged,) = guidance([cond(1.0, 2.0, 3.0)], [cond(4.0, 5.0)]).plan(call(1.0))

    assert merged.cond.tokens[:, :, 0].tolist() == [[1, 2, 3] * 2] * 2 + [[4, 5] * 3] * 2


def test_texts_too_unlike_in_length_are_asked_apart() -> None:
    calls = guidance([cond(*[1.0] * 7)], [cond(4.0)]).plan(call(1.0))

    assert [list(c.cond.tokens.shape) for c in calls] == [[2, 7, 1], [2, 1, 1]]


def test_pooled_texts_and_extras_become_rows() -> None:
    rich = [
        replace(
            c, pooled=torch.full((1, 3), v), extras={"size": torch.full((1, 2), v), "note": "x"}
        )
        for c, v in ((A, 1.0), (N, 2.0))
    ]

    (merged,) = guidance(rich[:1], rich[1:]).plan(call(1.0))

    assert merged.cond.pooled is not None
    assert merged.cond.pooled[:, 0].tolist() == [1, 1, 2, 2]
    assert {k: v[:, 0].tolist() for k, v in merged.cond.extras.items()} == {"size": [1, 1, 2, 2]}


def test_conditions_with_and_without_extras_are_asked_apart() -> None:
    extra = replace(A, extras={"guidance": torch.ones(1)})

    calls = guidance([extra], [N]).plan(call(1.0))

    assert [sorted(c.cond.extras) for c in calls] == [["guidance"], []]


def test_masks_are_resized_to_the_latent() -> None:
    assert resize_mask(torch.ones(3, 40, 40), (5, 7)).shape == (3, 1, 5, 7)


def test_an_area_outside_the_latent_keeps_one_pixel_at_its_edge() -> None:
    outside = PreparedCond.from_cond(replace(A, area=Area(8, 8, 99, 99)))

    (resolved,), _ = resolve([outside], [], (16, 16), MODELS["sd15_eps"])

    assert resolved.area == Area(1, 1, 15, 15)


def test_blending_leaves_the_model_outputs_as_they_are() -> None:
    g = guidance([replace(A, area=CENTER), B], [N])
    asked = call(1.0)
    calls = g.plan(asked)
    outputs = [torch.ones_like(c.x) for c in calls]

    reply = g.combine(asked, calls, outputs)

    assert reply.x0.sub(1).abs().max() < 1e-6
    assert all(o._version == 0 for o in outputs)
    assert asked.x._version == 0


def test_texts_that_attend_themselves_are_never_repeated() -> None:
    """In joint attention, a text that is there twice weighs twice as much."""
    joint = replace(guidance([cond(1.0, 2.0)], [cond(4.0)]), repeats_text=False)

    assert [c.cond.tokens.shape[1] for c in joint.plan(call(1.0))] == [2, 1]
    alike = replace(guidance([cond(1.0)], [cond(4.0)]), repeats_text=False)
    assert len(alike.plan(call(1.0))) == 1
