"""What is to be drawn where: boxes with a text each, as a network reads them."""

from dataclasses import replace

import torch
from torch.nn import functional

from nodes.sampling.conditioning.cond import Cond

BOXES, TEXTS, MASKS = "boxes", "box_texts", "box_masks"
"""What a condition's extras call them, [1, number, …] each."""
_LEAST = 30
"""So many boxes the networks were trained with; those that are not there are empty."""


def with_boxes(cond: Cond, height: int, width: int) -> Cond:
    """A condition with its boxes as tensors in the extras.

    Boxes become (left, top, right, bottom) as parts of a latent of that height and width.
    """
    if not cond.boxes:
        return cond
    corners = [
        (a.x / width, a.y / height, (a.x + a.width) / width, (a.y + a.height) / height)
        for a in (box.area for box in cond.boxes)
    ]
    made = {
        BOXES: torch.tensor(corners),
        TEXTS: torch.cat([box.text for box in cond.boxes]),
        MASKS: torch.ones(len(corners), 1),
    }
    empty = max(0, _LEAST - len(corners))
    padded = {name: functional.pad(x, (0, 0, 0, empty))[None] for name, x in made.items()}
    return replace(cond, extras={**cond.extras, **padded})
