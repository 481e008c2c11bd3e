"""The check that predictions are finite numbers, without waiting for the device at each step."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nodes.sampling.guidance.errors import NotFiniteError


@dataclass(frozen=True, slots=True, eq=False)
class FinitenessCheck:
    """The largest number of each prediction, kept on its device until somebody looks.

    To look at one waits for all that the device was told before, so that is done once at the end,
    and when a preview has waited anyway. On the CPU nothing is gained by that: there a prediction
    that is not finite is an error at once.
    """

    largest: list[tuple[str, Tensor]] = field(default_factory=list[tuple[str, Tensor]])
    """The name of each prediction, and its largest absolute value; NaN if any number is."""

    def add(self, what: str, predictions: Iterable[Tensor]) -> None:
        """Add predictions.

        Args:
            what: they are called so in the error.
            predictions: of any shapes.

        Raises:
            NotFiniteError: they hold infinities or NaN, and are on the CPU.
        """
        self.largest.extend((what, each.abs().amax()) for each in predictions)
        if all(number.is_cpu for _, number in self.largest):
            self.look()

    def look(self) -> None:
        """Look at all predictions, with one copy from the device, and drop them.

        Raises:
            NotFiniteError: of the first that holds infinities or NaN.
        """
        if not self.largest:
            return
        names, numbers = zip(*self.largest, strict=True)
        self.largest.clear()
        finite = torch.stack(numbers).cpu().isfinite()
        for what, is_finite in zip(names, finite, strict=True):
            if not is_finite:
                raise NotFiniteError(what)
