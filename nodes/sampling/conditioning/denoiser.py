"""The protocol between sampling and models: conditions to prepare, and model calls to answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Protocol, TypeAlias

import torch
from torch import Tensor

from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.latents import LatentFormat
from nodes.sampling.noise_schedule.parameterization import Parameterization

Branch: TypeAlias = Literal["positive", "negative"]
"""The branch of guidance that a condition belongs to."""


@dataclass(frozen=True, slots=True)
class PreparedCond(Cond):
    """A condition as a network reads it in one run."""

    extras: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    """The network's inputs besides the text, [1, …] each."""
    concat_input: Tensor | None = None
    """[batch or 1, channels, h, w]: read with the latent, channel upon channel, at its size."""
    dtype: torch.dtype | None = None
    """The precision that the network reads the text in; None: as it is."""

    @classmethod
    def from_cond(cls, cond: Cond, concat_input: Tensor | None = None) -> "PreparedCond":
        """Return a condition with those of its `extras` that are tensors."""
        values: dict[str, Any] = {each.name: getattr(cond, each.name) for each in fields(Cond)}
        values["extras"] = {
            name: value for name, value in cond.extras.items() if isinstance(value, Tensor)
        }
        return cls(**values, concat_input=concat_input)

    def on(self, device: torch.device, dtype: torch.dtype) -> "PreparedCond":
        """Return the condition with what the network reads on a device.

        Args:
            device: of the network. The mask, whose bounds are looked at, stays where it is.
            dtype: the precision of the network.
        """
        return replace(
            self,
            tokens=self.tokens.to(device),
            pooled=None if self.pooled is None else self.pooled.to(device),
            extras={name: value.to(device) for name, value in self.extras.items()},
            concat_input=None if self.concat_input is None else self.concat_input.to(device),
            dtype=dtype,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ModelCall:
    """One forward pass of a model: noisy latents with their conditions, row by row."""

    x: Tensor
    """[rows, channels, h, w] float32, in the model's space."""
    sigma: Tensor
    """[rows], where the sampler has it, mostly on the CPU; every row may have its own."""
    cond: CondBatch
    """The conditions, one for each row."""


class Denoiser(Protocol):
    """A model ready to denoise, whatever its family and prediction type.

    `predict` is the only way from the denoising loop to a model. An implementation that serves
    several runs may merge their calls there.
    """

    @property
    def parameterization(self) -> Parameterization:
        """The noise levels that the model was trained on, and the way to add noise."""
        ...

    @property
    def latent_format(self) -> LatentFormat:
        """Converts between its latents and the VAE's."""
        ...

    @property
    def device(self) -> torch.device:
        """The device that it computes on, where a run keeps its latents."""
        ...

    @property
    def repeats_text(self) -> bool:
        """True if repeating all of a text changes nothing.

        That holds for cross-attention, but not for joint attention, in which texts attend too.
        """
        ...

    def prepare(self, cond: Cond, size: tuple[int, int], branch: Branch, seed: int) -> PreparedCond:
        """Return a condition with all that the model reads as tensors, [1, …] each.

        Args:
            cond: as nodes made it.
            size: height and width of the latent.
            branch: the branch of guidance that it belongs to.
            seed: of the run, for what a model draws when it reads the condition.
        """
        ...

    def predict(self, calls: Sequence[ModelCall]) -> Sequence[Tensor]:
        """Return each call's x0, the clean latent that the model predicts, in the call's shape."""
        ...
