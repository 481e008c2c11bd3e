"""Boxes on images, in the real engine."""

import json

import pytest
import torch

from nodegraph.errors import NodeGraphError
from nodes.builtin.editing.boxes import (
    Photo,
    build_json_prompt_ideogram,
    create_bounding_boxes,
    draw_bboxes,
    flux3_layout_prompt,
)

DRAWN = [
    {
        "x": 64,
        "y": 32,
        "width": 64,
        "height": 96,
        "metadata": {"type": "text", "text": "MOSS", "desc": "a title", "palette": ["#ff0000"]},
    },
    {"x": 0, "y": 0, "width": 128, "height": 128, "metadata": {"type": "obj", "desc": "all"}},
]


def create(run_node, **inputs):
    return run_node(create_bounding_boxes, width=128, height=128, **inputs)


def test_what_is_drawn_in_the_editor_becomes_an_image_boxes_and_elements(run_node):
    preview, boxes, elements = create(run_node, editor_state=DRAWN).values

    assert preview.shape == (1, 128, 128, 3)
    assert preview[0, 60, 64].tolist() == [1.0, 0.0, 0.0]
    assert boxes[0] == {"x": 64, "y": 32, "width": 64, "height": 96}
    assert elements == [
        {
            "type": "text",
            "bbox": [250, 500, 1000, 1000],
            "text": "MOSS",
            "desc": "a title",
            "color_palette": ["#ff0000"],
        },
        {"type": "obj", "bbox": [0, 0, 1000, 1000], "desc": "all"},
    ]


def test_linked_boxes_count_until_the_editor_has_taken_them(run_node):
    linked = [{"x": 8, "y": 8, "width": 8, "height": 8}]

    fresh = create(run_node, editor_state=DRAWN, bboxes=json.dumps(linked)).values[1]
    taken = create(run_node, editor_state=DRAWN, bboxes=json.dumps(linked), last_incoming=linked)

    assert fresh == linked
    assert len(taken.values[1]) == 2


def test_elements_become_the_boxes_that_they_were(run_node):
    _, boxes, elements = create(run_node, editor_state=DRAWN).values
    again = create(run_node, editor_state=[], bboxes=json.dumps(elements)).values

    assert again[1:] == (boxes, elements)


def test_a_background_is_scaled_to_the_canvas(run_node):
    image = torch.full((2, 10, 30, 4), 0.5)

    preview = create(run_node, background=image, editor_state=[]).values[0]

    assert preview.shape == (1, 128, 128, 3)
    assert preview.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        "[" * 99999,
        "5",
        [5],
        [{"x": 1}],
        [{"x": "1", "y": 0, "width": 1, "height": 1}],
        [{"x": True, "y": 0, "width": 1, "height": 1}],
        [{"x": 1e300, "y": 0, "width": 1, "height": 1}],
        [{"bbox": [0, 0, 1, None]}],
        [{"x": 0, "y": 0, "width": 1, "height": 1}] * 1001,
    ],
    ids=range(10),
)
def test_what_is_no_box_is_refused(bad):
    with pytest.raises(NodeGraphError, match="can not be read as boxes"):
        create_bounding_boxes(editor_state=bad)


@pytest.mark.parametrize(
    "box",
    [
        {"x": -1e8, "y": -5, "width": 1e8, "height": 0},
        {"x": 50, "y": 50, "width": -20, "height": -20, "label": "x" * 10_000, "score": 0.5},
        {"x": 0, "y": 0, "width": 9, "height": 9, "metadata": {"palette": ["no colour", 5]}},
    ],
)
def test_boxes_anywhere_are_drawn(box):
    assert draw_bboxes([box], torch.zeros(1, 64, 64, 3)).shape == (1, 64, 64, 3)


def test_boxes_are_drawn_on_every_image_or_one_list_on_each():
    box, other = ({"x": k, "y": k, "width": 9, "height": 9} for k in (2, 40))
    images = torch.zeros(2, 64, 64, 3)

    same, each = draw_bboxes([box], images), draw_bboxes([[box], [other]], images)

    assert torch.equal(same[0], same[1])
    assert torch.equal(each[0], same[0])
    assert not torch.equal(each[1], same[1])
    assert draw_bboxes(box).shape == (1, 640, 640, 3)
    assert draw_bboxes([{"x": 600, "y": 0, "width": 200, "height": 9}]).shape == (1, 640, 800, 3)
    with pytest.raises(NodeGraphError, match="can not be read"):
        draw_bboxes([box, [box]])


def test_the_prompt_has_the_parts_that_ideogram_reads(run_node):
    _, _, elements = create(run_node, editor_state=DRAWN).values
    plain = build_json_prompt_ideogram(element=elements)
    full = build_json_prompt_ideogram(
        element=elements,
        high_level_description="a poster",
        background="a wall",
        style=Photo("35mm"),
        aesthetics="moody",
        medium="photograph",
        color_palette=["#000000"] * 20,
    )

    assert plain == {"compositional_deconstruction": {"background": "", "elements": elements}}
    assert [*full] == [
        "high_level_description",
        "style_description",
        "compositional_deconstruction",
    ]
    assert full["style_description"] == {
        "aesthetics": "moody",
        "lighting": "",
        "photo": "35mm",
        "medium": "photograph",
        "color_palette": ["#000000"] * 16,
    }


def test_widgets_stand_in_the_order_of_saved_workflows():
    names = [item.name for item in build_json_prompt_ideogram.spec.inputs if not item.required]

    assert names[:4] == ["high_level_description", "background", "style", "aesthetics"]
    assert names[4:] == ["lighting", "medium", "color_palette"]


def test_the_prompt_has_the_table_that_flux3_reads(run_node):
    _, _, elements = create(run_node, editor_state=DRAWN).values

    prompt = flux3_layout_prompt("A poster <obj_1> on a wall.\n", elements)

    caption, _, table = prompt.partition(" [")
    assert caption == "A poster <obj_1> on a wall."
    assert json.loads(f"[{table}") == [
        {"id": "obj_1", "bbox": [250, 500, 1000, 1000], "desc": '"MOSS", a title'},
        {"id": "obj_2", "bbox": [0, 0, 1000, 1000], "desc": "all"},
    ]


@pytest.mark.parametrize("elements", [None, []])
def test_a_prompt_without_elements_stays_as_it_is(elements):
    assert flux3_layout_prompt(" a cat\n", elements) == " a cat\n"
