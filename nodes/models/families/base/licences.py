"""Licences of the weights that the publishers of a family released.

A file does not say which release it comes from, and a model that somebody trained further may be
under another licence; so all releases of a family are listed, for a person to read.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Use: TypeAlias = Literal["yes", "no", "below 1 million USD a year", "below 5 million USD a year"]
"""If weights may be used commercially: the amounts are of one's revenue."""


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence of weights."""

    name: str
    commercial_use: Use
    """Of the weights. What is made with them is another matter, of which the licence has words."""


@dataclass(frozen=True, slots=True)
class Release:
    """Models that were published under one licence."""

    models: str
    """Their names, as their publisher writes them."""
    licence: Licence

    def __str__(self) -> str:
        use = self.licence.commercial_use
        return f"{self.models}: {self.licence.name}; commercial use of the weights: {use}"


APACHE = Licence("Apache License 2.0", "yes")
OPEN_RAIL = Licence("CreativeML Open RAIL-M", "yes")
"""It forbids some uses, such as to harm people."""
OPEN_RAIL_PLUS = Licence("CreativeML Open RAIL++-M", "yes")
"""As `OPEN_RAIL`."""
STABILITY = Licence("Stability AI Community License", "below 1 million USD a year")
QWEN_RESEARCH = Licence("Qwen Research License", "no")
FLUX_1_DEV = Licence("FLUX.1 [dev] Non-Commercial License", "no")
FLUX_2 = Licence("FLUX Non-Commercial License", "no")
CIRCLESTONE = Licence("CircleStone Labs Non-Commercial License", "no")
KREA_2 = Licence("Krea 2 Community License", "below 1 million USD a year")
FLUX_3 = Licence("FLUX Kommunity License", "below 5 million USD a year")
