"""`comfy.conds`: the tensors of a condition, as packs hold them to join them into batches."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Self, cast

import torch
from torch import Tensor

from nodes.imaging.batch import repeat_to_batch


class CONDRegular:
    """A tensor with one row, or as many as the latents.

    Args:
        cond: the value.
    """

    def __init__(self, cond: Any) -> None:
        self.cond = cond

    def _copy_with(self, cond: Any) -> Self:
        return type(self)(cond)

    def process_cond(self, batch_size: int, **_more: object) -> Self:
        """Return the value with a row for each latent."""
        return self._copy_with(repeat_to_batch(self.cond, batch_size))

    def can_concat(self, other: "CONDRegular") -> bool:
        """Return True if both have the same shape."""
        return self.cond.shape == other.cond.shape

    def concat(self, others: Iterable["CONDRegular"]) -> Any:
        """Return the values below each other."""
        return torch.cat([self.cond, *(other.cond for other in others)])

    def size(self) -> list[int]:
        """Return the shape."""
        return list(self.cond.shape)


class CONDNoiseShape(CONDRegular):
    """A tensor with the latents' height and width."""

    def process_cond(
        self, batch_size: int, area: Sequence[int] | None = None, **_more: object
    ) -> Self:
        """Return the value with a row for each latent, cut to an area.

        Args:
            batch_size: the number of latents.
            area: the sizes of the last dimensions, then where each begins; None for all.
        """
        cut: Tensor = self.cond
        dims = len(area or ()) // 2
        for dim in range(dims):
            cut = cut.narrow(dim + 2, (area or ())[dims + dim], (area or ())[dim])
        return self._copy_with(repeat_to_batch(cut, batch_size))


class CONDCrossAttn(CONDRegular):
    """A text, [rows, tokens, width]: repeating all of it changes nothing in cross-attention."""

    def can_concat(self, other: "CONDRegular") -> bool:
        """Return True if a few repetitions make both equally long."""
        mine, theirs = self.cond.shape, other.cond.shape
        if (mine[0], mine[2]) != (theirs[0], theirs[2]):
            return False
        return math.lcm(mine[1], theirs[1]) // min(mine[1], theirs[1]) <= 4

    def concat(self, others: Iterable["CONDRegular"]) -> Tensor:
        """Return the texts below each other, repeated to a common length."""
        texts = [self.cond, *(other.cond for other in others)]
        length = math.lcm(*(text.shape[1] for text in texts))
        return torch.cat([text.repeat(1, length // text.shape[1], 1) for text in texts])


class CONDConstant(CONDRegular):
    """A value that is the same for all latents."""

    def process_cond(self, batch_size: int, **_more: object) -> Self:
        """Return the value as it is."""
        return self._copy_with(self.cond)

    def can_concat(self, other: "CONDRegular") -> bool:
        """Return True for equal values."""
        return self.cond == other.cond

    def concat(self, others: Iterable["CONDRegular"]) -> Any:
        """Return the one value."""
        return self.cond

    def size(self) -> list[int]:
        """Return the size of one number."""
        return [1]


class CONDList(CONDRegular):
    """A list of tensors, each as in `CONDRegular`."""

    def process_cond(self, batch_size: int, **_more: object) -> Self:
        """Return the tensors with a row for each latent."""
        return self._copy_with([repeat_to_batch(each, batch_size) for each in self.cond])

    def can_concat(self, other: "CONDRegular") -> bool:
        """Return True if both are equally long, with the same shapes."""
        return [each.shape for each in self.cond] == [each.shape for each in other.cond]

    def concat(self, others: Iterable["CONDRegular"]) -> list[Tensor]:
        """Return one list, of each place the tensors below each other."""
        lists = [self.cond, *(other.cond for other in others)]
        return [torch.cat(place) for place in zip(*cast("Any", lists), strict=True)]

    def size(self) -> list[int]:
        """Return the shape of one tensor with as many numbers."""
        numbers = sum(math.prod(each.shape) for each in self.cond)
        return [1, self.cond[0].shape[1], numbers // self.cond[0].shape[1]]
