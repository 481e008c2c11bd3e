"""The check that predictions are finite numbers, without waiting for the device at each step."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nodes.sampling.guidance.errors import NotFiniteError


@dataclass(frozen=True, slots=True, eq=False)
class FinitenessCheck:
    """Flags of predictions, kept on their device until somebody looks at them.

    To look at a flag waits for all that the device was told before, so that is done once at the
    end, and when a preview has waited anyway. On the CPU nothing is gained by that: there a wrong
    prediction is an error at once.
    """

    flags: list[tuple[str, Tensor]] = field(default_factory=list[tuple[str, Tensor]])
    """The name of each prediction, and a scalar: True if all of its numbers are finite."""

    def add(self, what: str, predictions: Iterable[Tensor]) -> None:
        """Add the flags of some predictions.

        Args:
            what: they are called so in the error.
            predictions: of any shapes.

        Raises:
            NotFiniteError: they hold infinities or NaN, and are on the CPU.
        """
        self.flags.extend((what, each.isfinite().all()) for each in predictions)
        if all(flag.is_cpu for _, flag in self.flags):
            self.look()

    def look(self) -> None:
        """Look at all flags, with one copy from the device, and drop them.

        Raises:
            NotFiniteError: of the first prediction that holds infinities or NaN.
        """
        if not self.flags:
            return
        names, flags = zip(*self.flags, strict=True)
        self.flags.clear()
        for what, is_finite in zip(names, torch.stack(flags).cpu(), strict=True):
            if not is_finite:
                raise NotFiniteError(what)
