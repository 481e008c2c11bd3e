"""The models that are measured: their sizes, steps and goals, and their files with random weights.

Every family is one checkpoint file. At full size its tensors have the names, shapes and dtypes of
the published files; matrices are drawn with a standard deviation of 0.02, norms are 1, so that all
numbers stay finite: zeros or NaN would change power and clocks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.engines import Picture
from nodegraph.runtime.devices import default_device
from nodes.models.weights.header import read_header
from nodes.models.weights.tensor_info import TensorInfo
from tests.full_size.models import write_model
from tests.tiny_models.checkpoints import small_sd3, small_sd21, small_sdxl, write
from tests.tiny_models.folders import whole_flux
from tests.tiny_models.random_weights import Draw, Tensors

_STD = 0.02
_TINY_SIZE, _TINY_STEPS = 64, 2
_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}


def _small_sd3() -> Tensors:
    """Return SD3 with texts of the width that its encoders give, whatever their own is."""
    draw = Draw(5)
    draw.linear("model.diffusion_model.context_embedder", 4096, 128)
    return small_sd3() | draw.tensors


@dataclass(frozen=True, slots=True)
class Family:
    """A model and the way it is usually run."""

    name: str
    model: str
    """Its name in `tests.full_size.models`."""
    dtype: str
    """Of its tensors in the file."""
    size: int
    """The sides of an image in pixels."""
    steps: int
    cfg: float
    goal_ms: float
    """The most milliseconds an image on an H100."""
    small: Callable[[], Tensors]
    """The tiny model in its place."""

    def checkpoint(self) -> str:
        """Return the name of its file."""
        return f"{self.model}.safetensors"

    def picture(self, *, tiny: bool) -> Picture:
        """Return the usual picture; a small one of few steps for the tiny model."""
        if tiny:
            return Picture(_TINY_SIZE, min(self.steps, _TINY_STEPS), self.cfg)
        return Picture(self.size, self.steps, self.cfg)


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("SD-Turbo", "sd21", "F16", 512, 1, 1.0, 12, small_sd21),
        Family("SDXL-Turbo", "sdxl", "F16", 512, 1, 1.0, 16, small_sdxl),
        Family("SDXL", "sdxl", "F16", 1024, 30, 7.0, 1100, small_sdxl),
        Family(
            "FLUX.1-schnell", "flux_schnell_whole", "BF16", 1024, 4, 1.0, 580,
            lambda: whole_flux(guidance=False),
        ),
        Family("SD3-Medium", "sd3_medium", "F16", 1024, 28, 5.0, 1150, _small_sd3),
        Family("FLUX.1-dev", "flux_dev_whole", "BF16", 1024, 28, 1.0, 4000, whole_flux),
    )
}  # fmt: skip
"""By name, in the order in which they are measured."""


def write_checkpoint(models: Path, family: Family, *, tiny: bool) -> Path:
    """Write the file of a family unless it is there.

    Args:
        models: the folder with `checkpoints` in it.
        family: the model.
        tiny: the tiny one; else a file of full size, filled by the default device.
    """
    path = models / "checkpoints" / family.checkpoint()
    if path.exists():
        return path
    if tiny:
        return write(path, family.small())
    unfinished = path.with_suffix(".part")
    write_model(unfinished, family.model, family.dtype)
    fill(unfinished)
    return unfinished.rename(path)


def fill(path: Path) -> None:
    """Draw the weights of a file that has none yet, on the default device."""
    header, size = read_header(path), path.stat().st_size
    there = torch.from_file(str(path), shared=True, size=size, dtype=torch.uint8)
    device = default_device()
    for key, info in header.tensors.items():
        dtype = _DTYPES[info.dtype]
        room = there[info.start : info.start + info.nbytes].view(dtype)
        if _is_norm(key, info):
            room.fill_(1.0)
        else:
            room.copy_(torch.empty(info.numel, dtype=dtype, device=device).normal_(0.0, _STD))


def _is_norm(key: str, info: TensorInfo) -> bool:
    return len(info.shape) == 1 and not key.endswith("bias")
