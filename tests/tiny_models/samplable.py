"""Small models with conditions that fit them, for tests of whatever samples."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from nodes.models.loading.handles import ModelHandle
from nodes.values import Cond, Conditioning, Latent
from tests.nodes.pictures import grid
from tests.tiny_models.checkpoints import (
    small_flux,
    small_refiner,
    small_sd3,
    small_sd15,
    small_sd21,
    small_sdxl,
    write,
)
from tests.tiny_models.handles import opened
from tests.tiny_models.random_weights import Draw, Tensors
from tests.tiny_models.transformer_networks import flux2, flux3


def _flux3() -> Tensors:
    draw = Draw(28)
    flux3(draw, text=128, jumps=True)
    return draw.tensors


def _flux2() -> Tensors:
    draw = Draw(27)
    flux2(draw, text=128)
    return draw.tensors


_MAKERS = {
    "sd15": (small_sd15, 64, None),
    "sd21": (small_sd21, 64, None),
    "sdxl": (small_sdxl, 128, 64),
    "refiner": (small_refiner, 64, 64),
    "sd3": (small_sd3, 128, 128),
    "flux": (small_flux, 64, 64),
    "schnell": (partial(small_flux, guidance=False), 64, 64),
    "flux2": (_flux2, 128, None),
    "flux3": (_flux3, 128, None),
}


class Samplable(NamedTuple):
    """A model, and the widths of the conditions that it takes."""

    model: ModelHandle
    width: int
    pooled: int | None

    def text(self, step: float, length: int = 77) -> Conditioning:
        """Another one for every step."""
        pooled = None if self.pooled is None else grid((1, self.pooled), step + 0.05)
        return Conditioning((Cond(grid((1, length, self.width), step), pooled),))

    def blank(self, batch: int = 1, size: int = 8) -> Latent:
        return Latent(torch.zeros(batch, self.model.latent_format.channels, size, size))


def samplable(folder: Path, name: str = "sd15") -> Samplable:
    """The small model of a family, written into a folder."""
    make, width, pooled = _MAKERS[name]
    path = write(folder / f"{name}.safetensors", make())
    return Samplable(ModelHandle(opened(path).model), width, pooled)
