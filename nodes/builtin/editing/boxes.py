"""Nodes for rectangles on images: drawn in the editor, shown, and written as layout prompts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple, TypeAlias, cast

import torch
from pydantic import Field
from torch import Tensor

from nodegraph.definition.markers import DynamicCombo, Name, Optional, Step, Widget
from nodegraph.definition.node import node
from nodegraph.graph.json_values import is_list
from nodegraph.graph.sockets import Socket
from nodes.builtin.inputs import Text
from nodes.imaging.boxes import UNIT, Box, as_element, draw_boxes, items_of, read_boxes
from nodes.imaging.errors import BadBoxError
from nodes.imaging.resize import resize_images
from nodes.values import Image

CanvasSide: TypeAlias = Annotated[int, Field(ge=64, le=16384), Step(16)]
Boxes: TypeAlias = Annotated[list[object], Socket("BOUNDING_BOX")]
Elements: TypeAlias = Annotated[Sequence[object], Socket("ARRAY")]
EditorBoxes: TypeAlias = Annotated[object, Socket("BOUNDING_BOXES"), Widget(default=[])]
OptionalText: TypeAlias = Annotated[Text, Optional()]

_GREY = 0.15
_BLANK = 640
"""The least side of the canvas that boxes without an image are drawn on."""
_LARGEST = 16384
_MOST_COLOURS = 16


class Layout(NamedTuple):
    """Boxes as an image, in pixels, and as elements of a prompt."""

    preview: Image
    bboxes: Boxes
    elements: Annotated[list[object], Socket("ARRAY")]


@dataclass(frozen=True, slots=True)
class NoStyle:
    """The prompt says nothing of the style."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photograph."""

    photo: OptionalText = ""


@dataclass(frozen=True, slots=True)
class ArtStyle:
    """Any other picture."""

    art_style: OptionalText = ""


Style: TypeAlias = Annotated[
    NoStyle | Photo | ArtStyle,
    DynamicCombo({"none": NoStyle, "photo": Photo, "art_style": ArtStyle}),
    Optional(),  # as the texts, so that it stays between them
]


@node("CreateBoundingBoxes", category="image/boxes", display_name="Create Bounding Boxes")
def create_bounding_boxes(
    background: Image | None = None,
    bboxes: Annotated[object, Socket("BOUNDING_BOX,ARRAY,STRING"), Optional()] = None,
    *,
    width: CanvasSide = 1024,
    height: CanvasSide = 1024,
    editor_state: EditorBoxes,
    last_incoming: Annotated[EditorBoxes, Optional()] = None,
) -> Layout:
    """Draw boxes on a canvas in the editor, each with a description, words to write, and colours.

    Boxes that are linked count in place of the drawn ones until the editor has taken them over:
    until they are `last_incoming`. The elements have their place as `bbox`: top, left, bottom and
    right in thousandths of the canvas.
    """
    linked = bboxes is not None and [*items_of(bboxes)] != [*items_of(last_incoming)]
    boxes = read_boxes(bboxes if linked else editor_state, width, height)
    canvas = _canvas(background, width, height)
    return Layout(
        draw_boxes(canvas, boxes)[None],
        [_in_pixels(box) for box in boxes],
        [as_element(box, width, height) for box in boxes],
    )


@node("DrawBBoxes", category="image/boxes", display_name="Draw BBoxes")
def draw_bboxes(
    bboxes: Annotated[object, Socket("BOUNDING_BOX")], image: Image | None = None
) -> Annotated[Image, Name("out_image")]:
    """Draw boxes on images, with their labels and scores.

    A list of boxes is drawn on every image, a list of lists on one image each. Without an image the
    canvas is as large as the boxes need, at least 640 by 640.
    """
    items = items_of(bboxes)
    each = [item for item in items if is_list(item)]
    if each and len(each) < len(items):
        raise BadBoxError(bboxes)
    width, height = (image.shape[2], image.shape[1]) if image is not None else (_BLANK, _BLANK)
    groups = [read_boxes(group, width, height) for group in each or [[*items]]]
    if image is None:
        image = _blank_for(groups)
    count = max(len(image), len(groups))
    drawn = [
        draw_boxes(image[min(k, len(image) - 1)], groups[min(k, len(groups) - 1)])
        for k in range(count)
    ]
    return torch.stack(drawn)


@node(
    "BuildJsonPromptIdeogram",
    category="utils/string",
    display_name="Build JSON Prompt (Ideogram)",
)
def build_json_prompt_ideogram(
    *,
    element: Elements,
    high_level_description: OptionalText = "",
    background: OptionalText = "",
    style: Style = NoStyle(),
    aesthetics: OptionalText = "",
    lighting: OptionalText = "",
    medium: OptionalText = "",
    color_palette: Annotated[object, Socket("COLORS"), Optional()] = None,
) -> Annotated[dict[str, object], Socket("DICT"), Name("prompt")]:
    """Build the JSON prompt of Ideogram 4 from texts and the elements of Create Bounding Boxes.

    Without a style, what describes it is left out. At most 16 colours count.
    """
    prompt: dict[str, object] = {}
    if high_level_description:
        prompt["high_level_description"] = high_level_description
    if not isinstance(style, NoStyle):
        told = (
            {"photo": style.photo} if isinstance(style, Photo) else {"art_style": style.art_style}
        )
        described: dict[str, object] = {"aesthetics": aesthetics, "lighting": lighting}
        described |= {**told, "medium": medium}
        if is_list(color_palette) and color_palette:
            described["color_palette"] = color_palette[:_MOST_COLOURS]
        prompt["style_description"] = described
    elements = [dict(cast("Mapping[str, object]", item)) for item in element]
    prompt["compositional_deconstruction"] = {"background": background, "elements": elements}
    return prompt


@node("Flux3LayoutPrompt", category="utils/string", display_name="FLUX 3 Image Layout Prompt")
def flux3_layout_prompt(
    prompt: Text, element: Annotated[Elements | None, Optional()] = None
) -> Annotated[str, Name("prompt")]:
    """Add the elements of Create Bounding Boxes to a prompt, as the table that FLUX.3 reads.

    Box N has the id `obj_N`: write `<obj_N>` in the prompt where it is meant. Words that are to be
    written in a box begin its description, in quotes; colours are left out. Without elements the
    prompt stays as it is.

    The table is that of the published prompt upsampler: `id`, `bbox` (top, left, bottom and right
    in thousandths of the picture) and `desc`.
    """
    # The sides do not matter: an element's place is relative to them, and stays so.
    boxes = read_boxes(list(element or ()), UNIT, UNIT)
    if not boxes:
        return prompt
    rows = [
        {"id": f"obj_{number}", "bbox": as_element(box, UNIT, UNIT)["bbox"], "desc": _words(box)}
        for number, box in enumerate(boxes, 1)
    ]
    return f"{prompt.rstrip()} {json.dumps(rows, ensure_ascii=False)}".lstrip()


def _words(box: Box) -> str:
    """Return what is to be in a box, in words."""
    words = f'"{box.text}"' if box.kind == "text" and box.text else ""
    return ", ".join(part for part in (words, box.desc) if part)


def _canvas(background: Tensor | None, width: int, height: int) -> Tensor:
    if background is None or len(background) == 0:
        return torch.full((height, width, 3), _GREY)
    return resize_images(background[:1, ..., :3], width, height, "bilinear")[0].clamp(0, 1)


def _in_pixels(box: Box) -> dict[str, object]:
    sides = {"x": box.x, "y": box.y, "width": box.width, "height": box.height}
    return {name: round(value) for name, value in sides.items()}


def _blank_for(groups: Sequence[Sequence[Box]]) -> Tensor:
    boxes = [box for group in groups for box in group]
    width = max((round(box.x + box.width) for box in boxes), default=0)
    height = max((round(box.y + box.height) for box in boxes), default=0)
    sides = (min(max(side, _BLANK), _LARGEST) for side in (height, width))
    return torch.full((1, *sides, 3), _GREY)
