"""What becomes of conditions in the conditioning nodes."""

import pytest
import torch

from nodes.builtin.conditioning.conditioning import (
    conditioning_average,
    conditioning_combine,
    conditioning_concat,
    conditioning_set_area,
    conditioning_set_area_percentage,
    conditioning_set_area_strength,
    conditioning_set_mask,
    conditioning_set_timestep_range,
    conditioning_zero_out,
    pair_conditioning_combine,
)
from nodes.sampling.conditioning.denoiser import PreparedCond
from nodes.sampling.conditioning.regions import resolve
from nodes.sampling.noise_schedule.parameterization import Discrete
from nodes.values import Area, Cond, Conditioning
from tests.nodes.bench import Bench
from tests.nodes.pictures import untouched


def cond(value, length=77, pooled: float | None = None, **more):
    vector = None if pooled is None else torch.full((1, 8), pooled)
    return Cond(torch.full((1, length, 4), float(value)), vector, **more)


def of(*conds):
    return Conditioning(tuple(conds))


def prepared(conditioning):
    return [PreparedCond.from_cond(cond) for cond in conditioning.conds]


def test_combined_conditions_stand_side_by_side_in_order():
    a, b, c = cond(1), cond(2), cond(3)

    assert conditioning_combine(of(a, b), of(c)).conds == (a, b, c)


def test_pairs_are_combined_side_by_side():
    a, b, c, d = (cond(value) for value in range(4))

    pair = pair_conditioning_combine(of(a), of(b), of(c), of(d))

    assert pair.positive.conds == (a, c)
    assert pair.negative.conds == (b, d)


def test_concatenating_appends_the_tokens_to_every_condition(tmp_path):
    to, tail = of(cond(1, pooled=5.0, strength=0.5), cond(2)), of(cond(3, length=154))

    with untouched(to.conds[0].tokens, tail.conds[0].tokens):
        joined = conditioning_concat(to, tail, Bench(tmp_path)).conds

    assert [one.tokens.shape for one in joined] == [(1, 231, 4)] * 2
    assert joined[1].tokens[0, [0, 76, 77, 230], 0].tolist() == [2, 2, 3, 3]
    assert joined[0].strength == 0.5
    assert joined[0].pooled is to.conds[0].pooled


def test_averaging_mixes_tokens_and_pooled(tmp_path):
    to, other = of(cond(1, pooled=1.0)), of(cond(3, pooled=5.0))

    mixed = conditioning_average(to, other, 0.75, ctx=Bench(tmp_path)).conds[0]

    assert mixed.tokens.unique().tolist() == [1.5]
    assert mixed.pooled is not None
    assert mixed.pooled.unique().tolist() == [2.0]


@pytest.mark.parametrize(("length", "last"), [(50, 0.5), (154, 2.0)])
def test_averaging_pads_or_cuts_the_other_text(tmp_path, length, last):
    to, other = of(cond(1)), of(cond(3, length=length, pooled=5.0))

    mixed = conditioning_average(to, other, 0.5, ctx=Bench(tmp_path)).conds[0]

    assert mixed.tokens.shape == (1, 77, 4)
    assert float(mixed.tokens[0, -1, 0]) == last
    assert mixed.pooled is other.conds[0].pooled


def test_the_other_text_may_be_one_condition_and_more_are_pointed_out(tmp_path):
    bench = Bench(tmp_path)

    conditioning_average(of(cond(1)), of(cond(2), cond(3)), 0.5, ctx=bench)
    conditioning_concat(of(cond(1)), of(cond(2)), bench)

    assert bench.notices == ["conditioning_from holds 2 conditions; only the first is used."]


def test_an_area_is_counted_in_latent_pixels():
    placed = conditioning_set_area(of(cond(1), cond(2)), 128, 64, 8, 31, 1.5).conds

    assert {(one.area, one.strength) for one in placed} == {(Area(8, 16, 3, 1), 1.5)}


@pytest.mark.parametrize(
    ("size", "area"),
    [((16, 32), Area(8, 8, 4, 24)), ((3, 3), Area(2, 1, 1, 2)), ((1, 1), Area(1, 1, 0, 0))],
)
def test_an_area_may_be_a_part_of_the_picture(size, area):
    parts = {"width": 0.25, "height": 0.5, "x": 0.75, "y": 0.25}

    shared = conditioning_set_area_percentage(of(cond(1)), **parts, strength=2.0)

    (resolved,), _ = resolve(prepared(shared), (), size, Discrete.scaled_linear())
    assert resolved.area == area
    assert resolved.cond.strength == 2.0


def test_the_last_area_that_is_set_holds():
    first = conditioning_set_area(of(cond(1)), 64, 64, 0, 0, 1.0)
    second = conditioning_set_area_percentage(first, 0.5, 0.5, 0, 0, 1.0)
    third = conditioning_set_area(second, 128, 128, 0, 0, 1.0)

    areas = [
        resolve(prepared(c), (), (32, 32), Discrete.scaled_linear())[0][0].area
        for c in (second, third)
    ]

    assert areas == [Area(16, 16, 0, 0), Area(16, 16, 0, 0)]


def test_the_strength_alone_can_be_set():
    area = conditioning_set_area(of(cond(1), cond(2)), 64, 64, 0, 0, 1.0)

    found = conditioning_set_area_strength(area, 0.25).conds

    assert [(one.strength, one.area) for one in found] == [(0.25, Area(8, 8, 0, 0))] * 2


@pytest.mark.parametrize(("choice", "bounds"), [("default", False), ("mask bounds", True)])
def test_a_mask_of_one_picture_gets_a_batch_of_one(choice, bounds):
    mask = torch.ones(24, 40)

    masked = conditioning_set_mask(
        conditioning=of(cond(1)), mask=mask, strength=0.5, set_cond_area=choice
    ).conds[0]

    assert masked.mask is not None
    assert masked.mask.shape == (1, 24, 40)
    assert (masked.mask_strength, masked.mask_bounds) == (0.5, bounds)


def test_a_range_says_when_and_the_extras_stay():
    held = conditioning_set_timestep_range(of(cond(1, extras={"guidance": 3.5})), 0.2, 0.7)

    assert (held.conds[0].start, held.conds[0].end) == (0.2, 0.7)
    assert held.conds[0].extras == {"guidance": 3.5}


def test_zeroing_out_keeps_the_shapes_and_the_input():
    given = of(cond(1, pooled=2.0), cond(3))

    with untouched(given.conds[0].tokens):
        zeros = conditioning_zero_out(given).conds

    assert [one.tokens.shape for one in zeros] == [(1, 77, 4)] * 2
    assert not any(one.tokens.any() for one in zeros)
    assert zeros[0].pooled is not None
    assert not zeros[0].pooled.any()
    assert zeros[1].pooled is None
    assert given.conds[0].tokens.any()
