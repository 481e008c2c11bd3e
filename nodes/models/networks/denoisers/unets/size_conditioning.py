"""SDXL's size conditioning: the pooled text and some sizes, which networks read beside the text.

Podell et al. 2023, arXiv:2307.01952, section 2.2. The refiner reads an aesthetic score in place of
the base model's target size.
"""

from typing import Protocol, TypedDict, cast

import torch
from torch import Tensor, nn

from nodes.models.networks.base.errors import WrongConditioningError
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch

LIKED, DISLIKED = 6.0, 2.5
"""The aesthetic scores of the positive and the negative branch, if the workflow sets none."""
_PIXELS = 8
_BASE, _REFINER = (slice(6),), (slice(4), slice(6, 7))
"""The sizes that each model reads, by their index in `sizes`."""
_NUMBERS = 6, 5
"""The number of sizes that each reads."""


class Config(Protocol):
    """The sizes of a network's added embedding; None for a network without one."""

    addition_time_embed_dim: int | None
    projection_class_embeddings_input_dim: int | None


class AddedCond(TypedDict):
    """The added conditions, by diffusers' names (`added_cond_kwargs`)."""

    text_embeds: Tensor
    """[batch, dim]."""
    time_ids: Tensor
    """[batch, 5 or 6]."""


def sizes(cond: Cond, size: tuple[int, int], branch: Branch) -> Tensor:
    """Return height, width, top, left, target height, target width, score: [1, 7] float32.

    Args:
        cond: may have them in its extras, by ComfyUI's names.
        size: height and width of the whole latent, for a condition without sizes.
        branch: the negative one has a low aesthetic score.
    """
    height, width = size
    extras = {"height": height * _PIXELS, "width": width * _PIXELS, **cond.extras}
    rest = {
        "crop_h": 0,
        "crop_w": 0,
        "target_height": extras["height"],
        "target_width": extras["width"],
        "aesthetic_score": DISLIKED if branch == "negative" else LIKED,
    }
    numbers = [extras["height"], extras["width"], *({**rest, **extras}[name] for name in rest)]
    return torch.tensor([[float(cast("float", number)) for number in numbers]])


def added_cond(module: nn.Module, cond: CondBatch, x: Tensor) -> AddedCond | None:
    """Return the pooled text and the sizes as a network reads them; None if it reads neither.

    Args:
        module: a U-Net or a ControlNet.
        cond: has `sizes` in its extras.
        x: has the device and the dtype of the result.

    Raises:
        WrongConditioningError: the vector is lacking, or of another width.
    """
    config = cast("Config", module.config)
    wide, each = config.projection_class_embeddings_input_dim, config.addition_time_embed_dim
    if wide is None or each is None:
        return None
    found = 0 if cond.pooled is None else cond.pooled.shape[1]
    for chosen, number in zip((_BASE, _REFINER), _NUMBERS, strict=True):
        if cond.pooled is not None and found == wide - number * each:
            time_ids = torch.cat([cond.extras["sizes"][:, part] for part in chosen], dim=1)
            return {"text_embeds": cond.pooled.to(x), "time_ids": time_ids.to(x)}
    wanted = wide - _NUMBERS[0] * each
    what = "pooled text"
    raise WrongConditioningError(what, found, wanted)
