"""The denoising U-Net of SD 1, SD 2 and SDXL."""

from dataclasses import replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.call_context import current_memory
from nodes.models.networks.base.errors import WrongConditioningError
from nodes.models.networks.base.text_inputs import text
from nodes.models.networks.denoisers.unets.cross_attention import (
    add_image_prompts,
    image_prompts_of,
)
from nodes.models.networks.denoisers.unets.size_conditioning import AddedCond, added_cond, sizes
from nodes.models.networks.denoisers.unets.unclip import VECTOR
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch

BOXES, TEXTS, MASKS = "boxes", "box_texts", "box_masks"
"""The keys of a condition's extras for GLIGEN; each value is [1, number, …]."""
_LEAST = 30
"""The number of boxes that the networks were trained with; missing ones are empty."""


class UNet(Protocol):
    """The interface of diffusers' U-Net."""

    def __call__(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        *,
        class_labels: Tensor | None,
        added_cond_kwargs: AddedCond | None,
        cross_attention_kwargs: dict[str, object],
        down_block_additional_residuals: tuple[Tensor, ...] | None,
        mid_block_additional_residual: Tensor | None,
        down_intrablock_additional_residuals: list[Tensor] | None,
        return_dict: bool,
    ) -> tuple[Tensor]:
        """Return the prediction, shaped as `sample` but for its channels."""
        ...


class UNetConfig(Protocol):
    """The entries of a configuration that are read here."""

    cross_attention_dim: int


class UNetAdapter:
    """Calls a U-Net; see `nodes.models.networks.base.builder.Adapter`."""

    repeats_text = True
    patch_pixels = 1
    concat_raw = True

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return a condition with its boxes, and with the sizes, which only SDXL's read."""
        cond = _with_boxes(cond, *size)
        return replace(cond, extras={**cond.extras, "sizes": sizes(cond, size, branch)})

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """Run the U-Net, and return its prediction.

        Raises:
            WrongConditioningError: a text encoder of another family made the conditions.
        """
        width, memory = cast("UNetConfig", module.config).cross_attention_dim, current_memory()
        tokens = memory.recall(("text", x.dtype), (cond.tokens,), lambda: text(cond, x, width))
        (middle,), features = cond.residuals.get("middle", (None,)), cond.residuals.get("features")
        prompts = image_prompts_of(cond, x, memory)
        seen = {"image_prompts": prompts, "memory": memory} | _boxes(cond, x)
        (output,) = cast("UNet", module)(
            x,
            timestep,
            tokens,
            class_labels=cond.extras[VECTOR].to(x) if VECTOR in cond.extras else None,
            added_cond_kwargs=added_cond(module, cond, x),
            cross_attention_kwargs=seen,
            down_block_additional_residuals=cond.residuals.get("down"),
            mid_block_additional_residual=middle,
            down_intrablock_additional_residuals=list(features) if features else None,
            return_dict=False,
        )
        return output


def _with_boxes(cond: Cond, height: int, width: int) -> Cond:
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


def _boxes(cond: CondBatch, x: Tensor) -> dict[str, object]:
    """Return the inputs of GLIGEN's layers, by diffusers' names.

    Raises:
        WrongConditioningError: a text encoder of another family read the boxes' texts.
    """
    if BOXES not in cond.extras:
        return {}
    wide, found = cond.tokens.shape[2], cond.extras[TEXTS].shape[2]
    if found != wide:
        what = "text of a box"
        raise WrongConditioningError(what, found, wide)
    boxes, texts, masks = (cond.extras[name].to(x) for name in (BOXES, TEXTS, MASKS))
    gligen = {"boxes": boxes, "positive_embeddings": texts, "masks": masks[..., 0]}
    return {"gligen": gligen}


def builder() -> Build:
    """Return the function that builds the network."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    def build(config: dict[str, Any]) -> nn.Module:
        network = cast("nn.Module", UNet2DConditionModel(**config))
        add_image_prompts(network)
        return network

    return build


NETWORK = NetworkClass(
    "unet",
    "U-Net",
    builder,
    adapter=UNetAdapter(),
    convolves=True,
    keeps_quantized=True,
    cross_attends=True,
    repeated_blocks=("BasicTransformerBlock",),
)
