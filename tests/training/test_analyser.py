"""The analyser reads true pictures right and wrong pictures wrong."""

from dataclasses import fields, replace

import pytest
import torch

from training.analyse import analyse, score
from training.captions import sample_scenes
from training.evaluate import evaluate, prompts, report
from training.shapes import COLOURS, SHAPES, Scenes, place, render


def scenes_of(count=120, seed=0, **options) -> Scenes:
    return sample_scenes(count, torch.Generator().manual_seed(seed), **options)


def shifted(scenes: Scenes, name: str, size: int) -> Scenes:
    wrong = {name: (getattr(scenes, name) + 1) % size}
    changed = replace(scenes, **wrong)
    return place(changed.shape, changed.colour, changed.background, changed.position, changed.size)


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("outline", [False, True])
def test_true_pictures_are_read_right(held_out, outline):
    scenes = scenes_of(held_out=held_out)

    percent = score(render(scenes, outline=outline), scenes, outline=outline).percent()

    assert percent["all"] >= 98
    assert percent["size"] >= 99


def test_noise_does_not_change_what_is_read():
    scenes = scenes_of()
    noise = torch.randn(len(scenes), 3, 64, 64, generator=torch.Generator().manual_seed(1))

    percent = score((render(scenes) + 0.04 * noise).clamp(0, 1), scenes).percent()

    assert percent["all"] >= 98


@pytest.mark.parametrize(
    ("name", "size"), [("shape", len(SHAPES)), ("position", 9), ("background", len(COLOURS))]
)
def test_a_picture_of_something_else_is_wrong_in_that_and_only_that(name, size):
    scenes = scenes_of()
    wrong = shifted(scenes, name, size)
    different = wrong.background != wrong.colour

    scores = score(render(wrong)[different], scenes[different])

    assert not getattr(scores, name).any()
    assert not scores.all_four.any()
    others = {"shape", "position", "background", "colour"} - {name}
    assert all(getattr(scores, other).float().mean() >= 0.98 for other in others)


def test_another_colour_is_wrong():
    scenes = scenes_of()
    wrong = shifted(scenes, "colour", len(COLOURS))
    different = wrong.background != wrong.colour

    scores = score(render(wrong)[different], scenes[different])

    assert not scores.colour.any()
    assert scores.shape.float().mean() >= 0.98


@pytest.mark.parametrize("image", [torch.full((4, 3, 64, 64), 0.04), torch.rand(4, 3, 64, 64)])
def test_plain_and_noisy_pictures_show_no_shape(image):
    found = analyse(image)

    assert (found.shape == -1).all()
    assert (found.position == -1).all()


def test_filled_shapes_are_no_outlines():
    scenes = scenes_of(300)
    scenes = scenes[(scenes.size == 1) & (scenes.shape != SHAPES.index("ring"))]

    filled_as_outline = score(render(scenes), scenes, outline=True).percent()
    outline_as_filled = score(render(scenes, outline=True), scenes).percent()

    assert filled_as_outline["shape"] <= 10
    assert outline_as_filled["shape"] <= 10


def test_half_of_the_prompts_are_held_out_combinations():
    asked, scenes = prompts(100)
    trained = {tuple(row) for row in _triples(scenes_of(5000))}
    rows = _triples(scenes)

    assert len(asked) == len(scenes) == 100
    assert all(row in trained for row in rows[:50])
    assert not any(row in trained for row in rows[50:])


def test_an_evaluation_of_the_truth_reports_full_marks():
    _, scenes = prompts(40)

    scores = evaluate(lambda asked: render(scenes[: len(asked)]), 40)

    assert scores.all_four.all()
    assert "held out" in report(scores)


def _triples(scenes: Scenes) -> list[tuple[int, int, int]]:
    columns = (scenes.shape.tolist(), scenes.colour.tolist(), scenes.background.tolist())
    return list(zip(*columns, strict=True))


def test_parts_of_a_batch_keep_every_field():
    scenes = scenes_of(10)

    part = scenes[2:5]

    assert len(part) == 3
    assert all(len(getattr(part, field.name)) == 3 for field in fields(Scenes))
