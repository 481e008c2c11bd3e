"""A denoiser of two models, one for the positive conditions and one for the negative ones."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from nodegraph.definition.context import Context
from nodes.inference.merging import open_denoiser
from nodes.inference.row_split import SplittingDenoiser
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.base.errors import ChannelMismatchError
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch, Denoiser, ModelCall, PreparedCond
from nodes.sampling.conditioning.latents import LatentFormat
from nodes.sampling.conditioning.level_table import LevelTable
from nodes.sampling.conditioning.run_memory import RunMemory
from nodes.sampling.noise_schedule.parameterization import Parameterization


@dataclass(frozen=True, slots=True)
class _OtherModel:
    """Marks the conditions of the second model, so that they have model calls of their own."""

    def alter(self, network: nn.Module) -> None:
        """Change nothing."""
        del network


_OTHER = _OtherModel()


@dataclass(frozen=True, slots=True, eq=False)
class TwoModels:
    """The `Denoiser` whose negative conditions are another model's.

    The latents, noise levels and everything else are the first model's.
    """

    first: Denoiser
    second: Denoiser
    plain: dict[int, tuple[CondBatch, CondBatch]] = field(
        default_factory=dict[int, tuple[CondBatch, CondBatch]]
    )
    """Marked conditions, and the same without the mark, by the identity of the marked ones."""

    @property
    def parameterization(self) -> Parameterization:
        """See `Denoiser`."""
        return self.first.parameterization

    @property
    def latent_format(self) -> LatentFormat:
        """See `Denoiser`."""
        return self.first.latent_format

    @property
    def device(self) -> torch.device:
        """See `Denoiser`."""
        return self.first.device

    @property
    def repeats_text(self) -> bool:
        """See `Denoiser`."""
        return self.first.repeats_text and self.second.repeats_text

    def prepare(self, cond: Cond, size: tuple[int, int], branch: Branch, seed: int) -> PreparedCond:
        """Return a condition as the model of its branch takes it; see `Denoiser`."""
        if branch == "positive":
            return self.first.prepare(cond, size, branch, seed)
        prepared = self.second.prepare(cond, size, branch, seed)
        return replace(prepared, alterations=(*prepared.alterations, _OTHER))

    def predict(self, calls: Sequence[ModelCall]) -> list[Tensor]:
        """Return each call's x0; see `Denoiser`."""
        return [self._predict(call) for call in calls]

    def _predict(self, call: ModelCall) -> Tensor:
        if _OTHER not in call.cond.alterations:
            return self.first.predict([call])[0]
        own = replace(call, cond=self._without_mark(call.cond))
        return self.second.predict([own])[0]

    def _without_mark(self, cond: CondBatch) -> CondBatch:
        """Return the conditions as the second model takes them, the same ones each time."""
        if id(cond) not in self.plain:
            left = tuple(each for each in cond.alterations if each != _OTHER)
            self.plain[id(cond)] = cond, replace(cond, alterations=left)
        return self.plain[id(cond)][1]


@contextmanager
def open_denoisers(
    model: ModelHandle,
    negative: ModelHandle | None,
    ctx: Context,
    levels: Callable[[], Sequence[float]] = tuple,
    sigmas: Tensor | None = None,
) -> Generator[Denoiser]:
    """Open the denoiser of a model, or of two; see `open_denoiser`.

    Calls of the second model are not merged with those of other runs.

    Args:
        model: for all conditions, or all but the negative ones.
        negative: the model for these; None is the same.
        ctx: of the node that samples.
        levels: returns the noise levels that will come, as far as they are known.
        sigmas: of the sampler's steps.

    Raises:
        ChannelMismatchError: the models' latents differ.
    """
    if negative is not None and negative.latent_format.channels != model.latent_format.channels:
        raise ChannelMismatchError(
            code="latent_channels",
            what="the latent of the model",
            found=model.latent_format.channels,
            expected=negative.latent_format.channels,
            reader="the negative model",
            hint="Use two models of one family.",
        )
    with open_denoiser(model, ctx, levels, sigmas) as first:
        if negative is None:
            yield first
            return
        memory = RunMemory(negative.model.network.placement.device, sigmas=sigmas)
        table = LevelTable(levels)
        check = ctx.check_cancelled
        yield TwoModels(first, SplittingDenoiser(negative, check, ctx, memory=memory, levels=table))
