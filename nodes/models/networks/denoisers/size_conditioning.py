"""What SDXL's networks read besides the text: the prompt as one vector, and some sizes.

Podell et al. 2023, arXiv:2307.01952, section 2.2. The refiner is told how well liked a picture is
where the base model is told how large it should become.
"""

from typing import Protocol, TypedDict, cast

import torch
from torch import Tensor, nn

from nodes.models.networks.base.errors import WrongConditioningError
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch

LIKED, DISLIKED = 6.0, 2.5
"""The scores that the refiner is told where the workflow gives none, by side."""
_PIXELS = 8
_BASE, _REFINER = [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 6]
"""Which of the sizes each is told."""


class Config(Protocol):
    """The sizes of a network's extra embedding; None where it has none."""

    addition_time_embed_dim: int | None
    projection_class_embeddings_input_dim: int | None


class Added(TypedDict):
    """The names that diffusers' U-Nets and ControlNets know these by."""

    text_embeds: Tensor
    """[batch, dim]."""
    time_ids: Tensor
    """[batch, 5 or 6]."""


def sizes(cond: Cond, size: tuple[int, int], branch: Branch) -> Tensor:
    """Height, width, top, left, target height, target width, score: [1, 7] float32.

    Args:
        cond: may say them in its extras, by ComfyUI's names.
        size: height and width of the whole latent, for a condition that says no size.
        branch: the negative one has a low aesthetic score.
    """
    height, width = size
    given = {"height": height * _PIXELS, "width": width * _PIXELS, **cond.extras}
    rest = {
        "crop_h": 0,
        "crop_w": 0,
        "target_height": given["height"],
        "target_width": given["width"],
        "aesthetic_score": DISLIKED if branch == "negative" else LIKED,
    }
    numbers = [given["height"], given["width"], *({**rest, **given}[name] for name in rest)]
    return torch.tensor([[float(cast("float", number)) for number in numbers]])


def added(module: nn.Module, cond: CondBatch, x: Tensor) -> Added | None:
    """The vector and the sizes as a network takes them; None if it takes none.

    Args:
        module: a U-Net or a ControlNet.
        cond: has `sizes` in its extras.
        x: says where, and in which precision.

    Raises:
        WrongConditioningError: the vector is lacking, or of another width.
    """
    config = cast("Config", module.config)
    wide, each = config.projection_class_embeddings_input_dim, config.addition_time_embed_dim
    if wide is None or each is None:
        return None
    found = 0 if cond.pooled is None else cond.pooled.shape[1]
    for chosen in (_BASE, _REFINER):
        if cond.pooled is not None and found == wide - len(chosen) * each:
            time_ids = cond.extras["sizes"][:, chosen]
            return {"text_embeds": cond.pooled.to(x), "time_ids": time_ids.to(x)}
    wanted = wide - len(_BASE) * each
    what = "pooled text"
    raise WrongConditioningError(what, found, wanted)
