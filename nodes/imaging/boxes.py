"""Rectangles on images: read in any of the forms that nodes give them, and drawn."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from PIL import Image as PILImage
from PIL import ImageColor, ImageDraw, ImageFont
from torch import Tensor

from nodegraph.graph.json_values import is_list, is_object
from nodes.imaging.codec import to_bytes
from nodes.imaging.errors import BadBoxError

UNIT: Final = 1000
"""The side of the square that the coordinates of a layout are relative to."""
MOST_BOXES: Final = 1000
_LONGEST_LABEL = 80
_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#46f0f0", "#f032e6", "#bcf60c")


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels, and what is to be there."""

    x: float
    y: float
    width: float
    height: float
    kind: str = "obj"
    text: str = ""
    """The words to be written there, of the kind `text`."""
    desc: str = ""
    palette: tuple[str, ...] = ()
    """Colours, as #RRGGBB."""
    label: str = ""
    score: float | None = None


def read_boxes(value: object, width: int, height: int) -> list[Box]:
    """Read boxes: objects with `x`, `y`, `width` and `height` in pixels, or with a `bbox`.

    Args:
        value: a box, a list of them, or JSON of either; None is no box.
        width: of the image, to which a `bbox` [top, left, bottom, right] of 0 to 1000 is relative.
        height: of the image.

    Raises:
        BadBoxError: it is something else.
    """
    boxes = [_read(item, width, height) for item in items_of(value)]
    if len(boxes) > MOST_BOXES:
        raise BadBoxError(value, f"At most {MOST_BOXES} boxes work.")
    return boxes


def items_of(value: object) -> Sequence[object]:
    """Return the boxes of a value, not yet read; see `read_boxes`."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else []
        except (ValueError, RecursionError) as error:
            raise BadBoxError(value) from error
    if value is None:
        return ()
    return value if is_list(value) else [value]


def as_element(box: Box, width: int, height: int) -> dict[str, object]:
    """Return a box as an element of a layout prompt, its place in thousandths of the image."""
    across, down = UNIT / width, UNIT / height
    edges = (box.y * down, box.x * across, (box.y + box.height) * down)
    places = [*edges, (box.x + box.width) * across]
    element: dict[str, object] = {"type": box.kind}
    element["bbox"] = [min(max(round(place), 0), UNIT) for place in places]
    if box.kind == "text":
        element["text"] = box.text
    element["desc"] = box.desc
    if box.palette:
        element["color_palette"] = [*box.palette]
    return element


def draw_boxes(image: Tensor, boxes: Sequence[Box]) -> Tensor:
    """Draw the outlines of boxes with their labels and colours.

    Args:
        image: [height, width, 3 or more channels] in [0, 1].
        boxes: the first lies below all others.

    Returns:
        [height, width, 3].
    """
    canvas = PILImage.fromarray(np.ascontiguousarray(to_bytes(image[..., :3])))
    draw = ImageDraw.Draw(canvas)
    line = max(1, round(min(canvas.size) / 256))
    font = ImageFont.load_default(max(10, round(min(canvas.size) / 40)))
    for number, box in enumerate(boxes):
        colour = next(_known_colours(box.palette), _COLOURS[number % len(_COLOURS)])
        left, top = _on_canvas(box.x), _on_canvas(box.y)
        right, bottom = _on_canvas(box.x + box.width), _on_canvas(box.y + box.height)
        draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=line)
        label = _label(box)
        if label:
            place = draw.textbbox((left + line, top + line), label, font=font)
            draw.rectangle(place, fill="black")
            draw.text((left + line, top + line), label, fill="white", font=font)
        for index, swatch in enumerate(_known_colours(box.palette)):
            start = left + index * 4 * line
            draw.rectangle((start, bottom - 4 * line, start + 4 * line, bottom), fill=swatch)
    return torch.tensor(np.asarray(canvas), dtype=torch.float32) / 255


def _read(item: object, width: int, height: int) -> Box:
    if not is_object(item):
        raise BadBoxError(item)
    given = item.get("bbox")
    if is_list(given) and len(given) == 4:
        top, left, bottom, right = (_number(item, edge) for edge in given)
        place = [left, top, right - left, bottom - top]
        place = [each * side / UNIT for each, side in zip(place, (width, height) * 2, strict=True)]
    else:
        place = [_number(item, item.get(name)) for name in ("x", "y", "width", "height")]
    more = item.get("metadata")
    told = {**item, **(more if is_object(more) else {})}
    palette = told.get("color_palette", told.get("palette"))
    score = told.get("score")
    return Box(
        *place,
        kind="text" if told.get("type") == "text" else "obj",
        text=_text(told, "text"),
        desc=_text(told, "desc"),
        palette=tuple(map(str, palette)) if is_list(palette) else (),
        label=_text(told, "label"),
        score=float(score) if isinstance(score, int | float) else None,
    )


def _number(item: Mapping[str, object], value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise BadBoxError(item)
    return float(value)


def _text(item: Mapping[str, object], name: str) -> str:
    value = item.get(name)
    return value if isinstance(value, str) else ""


def _label(box: Box) -> str:
    parts = [box.label or box.text or box.desc]
    if box.score is not None and math.isfinite(box.score):
        parts.append(f"{box.score:.2f}")
    return " ".join(part for part in parts if part).replace("\n", " ")[:_LONGEST_LABEL]


def _known_colours(palette: Sequence[str]) -> Iterator[str]:
    """Yield the colours that can be drawn."""
    for text in palette:
        try:
            ImageColor.getrgb(text)
        except ValueError:
            continue
        yield text


def _on_canvas(place: float) -> int:
    """Return a coordinate that can be drawn, however far outside it is."""
    return round(min(max(place, -1e6), 1e6))
