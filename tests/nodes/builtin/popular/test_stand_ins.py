"""Stand-ins for packs' node types compute what the packs' do."""

import math
import random
import time
from typing import Any

import pytest
import torch
from PIL import Image as Pictures

from nodegraph.errors import NodeGraphError, UnknownFileError, UnsafePathError
from nodes.builtin.popular.comfyroll import cr_integer_to_string, cr_lora_stack, cr_seed
from nodes.builtin.popular.control_images import canny_edge_preprocessor
from nodes.builtin.popular.essentials import (
    get_image_size,
    image_resize,
    mask_preview_plus,
    simple_math,
)
from nodes.builtin.popular.impact_pack import (
    edit_basic_pipe,
    from_basic_pipe,
    from_basic_pipe_v2,
    to_basic_pipe,
)
from nodes.builtin.popular.kjnodes import (
    color_match,
    get_image_size_and_count,
    image_concat_multi,
    image_resize_kj,
)
from nodes.builtin.popular.latent_factors import latent_upscale_by_factor, latent_upscale_factor
from nodes.builtin.popular.viewers import image_comparer, rgthree_seed, show_text
from nodes.builtin.popular.was_suite import (
    load_text_file,
    text_concatenate,
    text_multiline,
    text_random_line,
    text_string,
    text_to_console,
)
from nodes.values import Latent
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid, picture, untouched


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def resized(images, **asked):
    defaults: dict[str, Any] = {
        "interpolation": "nearest",
        "method": "stretch",
        "condition": "always",
    }
    return image_resize(image=images, **{**defaults, **asked})


@pytest.mark.parametrize(
    ("method", "asked", "size"),
    [
        ("stretch", (20, 30), (20, 30)),
        ("stretch", (0, 30), (40, 30)),
        ("keep proportion", (20, 30), (20, 12)),
        ("keep proportion", (0, 48), (80, 48)),
        ("keep proportion", (20, 0), (20, 12)),
        ("pad", (20, 30), (20, 30)),
        ("fill / crop", (20, 30), (20, 30)),
    ],
)
def test_image_resize_makes_the_size_of_its_method(method, asked, size):
    images = picture(2, 24, 40)

    with untouched(images):
        made, *told = resized(images, width=asked[0], height=asked[1], method=method)

    assert made.shape == (2, size[1], size[0], 3)
    assert tuple(told) == size


def test_image_resize_pads_with_black_evenly_and_crops_the_centre():
    images = torch.ones(1, 20, 40, 3)
    images[:, :, :10] = 0.5

    padded = resized(images, width=40, height=30, method="pad").image
    filled = resized(images, width=20, height=20, method="fill / crop").image

    assert padded[0, :, 20, 0].tolist() == [0.0] * 5 + [1.0] * 20 + [0.0] * 5
    assert torch.equal(filled, torch.ones(1, 20, 20, 3))


@pytest.mark.parametrize(
    ("condition", "asked", "is_resized"),
    [
        ("downscale if bigger", (60, 20), True),
        ("downscale if bigger", (60, 60), False),
        ("upscale if smaller", (60, 20), True),
        ("upscale if smaller", (30, 20), False),
        ("if bigger area", (60, 10), True),
        ("if bigger area", (60, 20), False),
        ("if smaller area", (60, 20), True),
        ("if smaller area", (60, 10), False),
    ],
)
def test_image_resize_minds_its_condition(condition, asked, is_resized):
    images = picture(1, 24, 40)

    made = resized(images, width=asked[0], height=asked[1], condition=condition).image

    assert made.shape[1:3] == ((asked[1], asked[0]) if is_resized else (24, 40))


def test_image_resize_ends_with_multiples():
    stretched = resized(picture(1, 24, 40), width=37, height=30, multiple_of=8)
    kept = resized(
        picture(1, 24, 40), width=99, height=99, condition="if bigger area", multiple_of=16
    )

    assert stretched[1:] == (32, 24)
    assert kept[1:] == (32, 16)
    assert torch.equal(kept.image, picture(1, 24, 40)[:, 4:20, 4:36])


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({"width": 20, "height": 30}, (20, 30)),
        ({"width": 21, "height": 31}, (20, 30)),
        ({"width": 20, "height": 0}, (20, 24)),
        ({"width": 20, "height": 30, "keep_proportion": True}, (20, 12)),
        ({"width": 0, "height": 48, "keep_proportion": True}, (80, 48)),
        ({"width": 20, "height": 30, "width_input": 10, "height_input": 50}, (10, 50)),
        ({"width": 20, "height": 30, "get_image_size": picture(1, 9, 7)}, (7, 9)),
    ],
)
def test_image_resize_kj_finds_its_size(given, size):
    made, *told = image_resize_kj(image=picture(1, 24, 40), upscale_method="area", **given)

    assert tuple(told) == size
    assert made.shape == (1, size[1], size[0], 3)


def test_image_resize_kj_refuses_a_size_without_pixels():
    with pytest.raises(NodeGraphError, match="0x20 has no pixels"):
        image_resize_kj(image=picture(), width=5, height=20, divisible_by=10, upscale_method="area")


def test_images_are_put_side_by_side_in_their_order():
    one, two, three = (torch.full((1, 4, 4, 3), value) for value in (0.1, 0.2, 0.3))

    row = image_concat_multi(3, "right", image_10=three, image_2=two, image_1=one).images
    column = image_concat_multi(2, "up", image_1=one, image_2=two, image_3=three).images
    counted = image_concat_multi(10, "left", image_10=three, image_2=two, image_1=one).images

    assert row[0, 0, ::4, 0].tolist() == pytest.approx([0.1, 0.2])
    assert column[0, ::4, 0, 0].tolist() == pytest.approx([0.2, 0.1])
    assert counted[0, 0, ::4, 0].tolist() == pytest.approx([0.3, 0.2, 0.1])


def test_images_of_other_sizes_are_scaled_to_the_first():
    made = image_concat_multi(
        2, "right", match_image_size=True, image_1=picture(1, 8, 8), image_2=picture(1, 16, 32)
    ).images

    assert made.shape == (1, 8, 24, 3)


@pytest.mark.parametrize(
    ("formula", "given", "expected"),
    [
        ("a * 2 + b", {"a": 3, "b": "0.5"}, (6, 6.5)),
        ("a[2] // 8 * 8", {"a": torch.zeros(1, 24, 43, 3)}, (40, 40.0)),
        ("max(a, b, c)", {"c": 7}, (7, 7.0)),
        ("a < 2", {"a": 1}, (1, 1.0)),
        ("min(1, 2) - 3 % 2", {}, (0, 0.0)),
    ],
)
def test_simple_math_calculates(formula, given, expected):
    assert simple_math(formula, **given) == expected


@pytest.mark.parametrize(
    ("formula", "given"),
    [("", {}), ("a.b", {}), ("9**9**9", {}), ("a", {"a": "x"}), ("a", {"a": None}), ("1/0", {})],
)
def test_simple_math_refuses_what_is_no_number(formula, given):
    with pytest.raises(NodeGraphError):
        simple_math(formula, **given)


def test_sizes_of_images_are_told():
    images = picture(3, 8, 16)

    assert get_image_size(images) == (16, 8, 3)
    assert get_image_size_and_count(images)[1:] == (16, 8, 3)


@pytest.mark.parametrize("method", ["mkl", "mvgd", "reinhard", "hm", "hm-mvgd-hm", "hm-mkl-hm"])
def test_colours_become_those_of_the_reference(method):
    draw = torch.Generator().manual_seed(1)
    spread = torch.tensor([[0.1, 0.05, 0.0], [0.0, 0.08, 0.02], [0.0, 0.0, 0.05]])
    reference = torch.randn(1, 40, 30, 3, generator=draw) @ spread + torch.tensor([0.6, 0.4, 0.5])
    images = torch.rand(2, 24, 24, 3, generator=draw) * 0.4 + 0.2

    with untouched(images, reference):
        made = color_match(reference, images, method).image
        half = color_match(reference, images, method, strength=0.5).image

    assert made.shape == images.shape
    close = 0.02 if method == "reinhard" else 2e-3
    assert (made.mean(dim=(1, 2)) - reference.mean(dim=(0, 1, 2))).abs().max() < close
    torch.testing.assert_close(half, (images + made) / 2)
    if method in ("mkl", "mvgd"):
        found, wanted = (torch.cov(x.reshape(-1, 3).T) for x in (made[0], reference))
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)
    if method.startswith("hm"):
        bounds = reference.amax(dim=(0, 1, 2)).clamp(max=1)
        torch.testing.assert_close(made[0].amax(dim=(0, 1)), bounds)


@pytest.mark.parametrize("method", ["mkl", "reinhard", "hm"])
def test_colours_of_flat_images_are_finite(method):
    flat = torch.full((1, 4, 4, 3), 0.25)

    made = color_match(picture(1, 8, 8), flat, method).image

    assert made.isfinite().all()
    with pytest.raises(NodeGraphError, match="2 references for 1 images"):
        color_match(picture(2), flat, method)


def test_a_pipe_gives_back_what_was_put_in():
    parts: Any = ("model", "clip", "vae", "positive", "negative")
    other: Any = "other"
    pipe = to_basic_pipe(*parts).basic_pipe

    assert from_basic_pipe(pipe) == parts
    assert from_basic_pipe_v2(pipe) == (pipe, *parts)
    assert edit_basic_pipe(pipe, vae=other).basic_pipe == (
        *("model", "clip", "other", "positive", "negative"),
    )


def test_texts_lose_their_comments_and_gain_the_time():
    year = time.strftime("%Y")

    text = text_multiline("one\n  # a note\n[time(%Y)]\n")
    seconds = text_string("[time]", "b").TEXT

    assert text == f"one\n{year}"
    assert int(seconds) == pytest.approx(time.time(), abs=5)


@pytest.mark.parametrize(
    ("delimiter", "clean", "joined"),
    [(", ", "true", "a, c"), ("\\n", "false", " a \nc"), ("", "true", "ac")],
)
def test_texts_are_joined_but_for_empty_ones(delimiter, clean, joined):
    made = text_concatenate(
        delimiter=delimiter, clean_whitespace=clean, text_a=" a ", text_b="", text_c="c"
    )

    assert made == joined


def test_a_line_is_drawn_as_the_pack_draws_it():
    lines = "\n".join("abcdefgh")

    drawn = [text_random_line(lines, seed) for seed in range(20)]

    assert drawn == [random.Random(seed).choice("abcdefgh") for seed in range(20)]
    assert len(set(drawn)) > 3


def test_a_text_file_is_read_from_the_input_folder_alone(bench, tmp_path):
    folder = tmp_path / "input"
    folder.mkdir()
    (folder / "poem.v2.txt").write_bytes("eins\r\n# no\r\nzwei ü\r\n".encode())
    (folder / "latin.txt").write_bytes(b"\xff\xfe\xfa")
    (tmp_path / "secret.txt").write_text("secret")

    text, lines = load_text_file("poem.v2.txt", ctx=bench)

    assert text == "eins\nzwei ü"
    assert lines == {"poem": ["eins", "zwei ü"]}
    assert load_text_file("poem.v2.txt", "mine", ctx=bench).lines == {"mine": ["eins", "zwei ü"]}
    for name in ("../secret.txt", str(tmp_path / "secret.txt")):
        with pytest.raises(UnsafePathError):
            load_text_file(name, ctx=bench)
    with pytest.raises(UnknownFileError):
        load_text_file("peom.txt", ctx=bench)
    with pytest.raises(NodeGraphError, match="no text in UTF-8"):
        load_text_file("latin.txt", ctx=bench)


def test_a_text_file_that_changes_is_read_again(bench, tmp_path):
    (tmp_path / "input").mkdir()
    file = tmp_path / "input" / "a.txt"
    file.write_text("one")
    state = load_text_file.state
    assert state

    before = state({"file_path": "a.txt"}, bench.files)
    file.write_text("two!")

    assert state({"file_path": "a.txt"}, bench.files) != before
    assert state({"file_path": "none.txt"}, bench.files) == ""
    assert state({}, bench.files) != state({}, bench.files)


def test_texts_are_shown_and_handed_on(bench):
    shown: Any = show_text(["a", "b"])
    told: Any = text_to_console("hello", " ", ctx=bench)

    assert (shown.values, shown.outputs) == ({"text": ["a", "b"]}, (["a", "b"],))
    assert told.outputs == ("hello",)
    assert bench.notices == ["Text to Console: hello"]


def test_a_stack_has_the_loras_that_are_on():
    off: Any = {"switch_3": "On", "lora_name_3": "None"}
    first = cr_lora_stack(
        switch_1="On", lora_name_1="a", model_weight_1=0.5, switch_2="Off", lora_name_2="b", **off
    )
    second = cr_lora_stack(
        switch_1="On",
        lora_name_1="c",
        switch_2="Off",
        lora_name_2="None",
        **off,
        lora_stack=first.LORA_STACK,
    )

    assert second.LORA_STACK == [("a", 0.5, 1.0), ("c", 1.0, 1.0)]


def test_seeds_and_numbers_are_handed_on(bench):
    drawn = {rgthree_seed(-1, ctx=bench).SEED for _ in range(5)}
    state = rgthree_seed.state
    assert state

    assert cr_seed(7).seed == 7
    assert cr_integer_to_string(2**63).STRING == "9223372036854775808"
    assert rgthree_seed(-4, ctx=bench).SEED == -4
    assert len(drawn) == 5
    assert min(drawn) > 0
    assert [f"the seed of this run is {seed}." for seed in drawn if seed] != []
    assert state({"seed": -1}, bench.files) != state({"seed": -1}, bench.files)
    assert state({"seed": 5}, bench.files) == ""


def test_images_are_compared_side_by_side_and_masks_shown(bench):
    both = image_comparer(picture(2), picture(1), ctx=bench).as_dict()
    one = image_comparer(image_b=picture(1), ctx=bench).as_dict()
    mask = mask_preview_plus(torch.ones(4, 6), bench)

    assert [len(both[kind]) for kind in ("a_images", "b_images")] == [2, 1]
    assert [len(one[kind]) for kind in ("a_images", "b_images")] == [0, 1]
    with Pictures.open(bench.path(mask.artifacts["images"][0])) as shown:
        assert shown.size == (6, 4)


def test_latents_are_resized_by_factors():
    latent = Latent(grid((1, 4, 8, 12), 0.3))

    both = latent_upscale_by_factor(samples=latent, mode="bilinear", factor=1.5, align="true")
    each = latent_upscale_factor(
        samples=latent,
        upscale_method="nearest-exact",
        WidthFactor=2.0,
        HeightFactor=0.5,
        crop="disabled",
    )

    assert both.samples.shape == (1, 4, 12, 18)
    corners = latent.samples[..., [0, -1], :][..., [0, -1]]
    torch.testing.assert_close(both.samples[..., [0, -1], :][..., [0, -1]], corners)
    assert each.samples.shape == (1, 4, 4, 24)


OPENCV_ROWS = [
    *(8, 39, 8, 10, 9, 16, 13, 11, 10, 11, 12, 11, 9, 11, 14, 11, 12, 14, 15, 11, 13, 12),
    *(14, 14, 13, 16, 11, 16, 14, 18, 15, 16, 15, 16, 14, 15, 17, 17, 17, 16, 16, 17, 17, 15),
    *(19, 16, 17, 17, 22, 16, 19, 20, 17, 17, 19, 19, 20, 19, 19, 20, 21, 19, 21, 17),
]
OPENCV_COLUMNS = [
    *(0, 53, 5, 8, 9, 20, 13, 11, 7, 9, 11, 8, 9, 8, 13, 11, 10, 9, 11, 10, 10, 9),
    *(11, 12, 12, 14, 10, 15, 14, 16, 15, 14, 16, 16, 14, 14, 17, 17, 16, 15, 15, 19, 17, 17),
    *(21, 16, 20, 17, 20, 18, 19, 22, 19, 19, 23, 18, 23, 22, 22, 24, 26, 21, 26, 17),
]
"""The pixels on edges that OpenCV 4.12's Canny finds, by rows and by columns."""


def test_canny_finds_the_edges_that_opencv_finds(bench):
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    waves = [
        torch.sin(x * y / 90),
        torch.cos((x - 20) ** 2 / 150 + y / 9),
        torch.sin(y / 7 + x / 5),
    ]
    images = torch.stack(waves, -1)[None] * 0.5 + 0.5

    drawn = canny_edge_preprocessor(images, 200, 320, 64, ctx=bench)

    edges = drawn[0, ..., 0].int()
    assert edges.sum(1).tolist() == OPENCV_ROWS
    assert edges.sum(0).tolist() == OPENCV_COLUMNS


@pytest.mark.parametrize("resolution", [64, 128])
def test_canny_makes_the_shorter_side_as_long_as_it_is_told(bench, resolution):
    drawn = canny_edge_preprocessor(picture(2, 96, 144), resolution=resolution, ctx=bench)

    assert drawn.shape == (2, resolution, resolution * 3 // 2, 3)


def test_canny_keeps_weak_edges_that_touch_strong_ones(bench):
    images = torch.zeros(1, 64, 64, 3)
    images[:, :32, 32:] = 0.9
    images[:, 32:, 32:] = 0.2
    images[:, 40:, :10] = 0.2

    drawn = canny_edge_preprocessor(images, 100, 600, 64, ctx=bench)[0, ..., 0]
    swapped = canny_edge_preprocessor(images, 600, 100, 64, ctx=bench)[0, ..., 0]

    assert torch.equal(drawn, swapped)
    assert drawn[60, 30:34].max() == 1.0
    assert drawn[60, 5:15].max() == 0.0
    assert math.isclose(drawn[10, 30:34].max().item(), 1.0)
