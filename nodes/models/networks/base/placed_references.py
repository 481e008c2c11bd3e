"""Reference latents that are read in the place of a text's tokens, which stand for pictures."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias, cast

from torch import Tensor

from nodes.models.networks.base.errors import UnplacedReferenceError
from nodes.sampling.conditioning.cond import REFERENCES

SLOTS = "reference_slots"
"""The key in a condition's extras of the places of its reference latents: a `Slot` for each."""
Slot: TypeAlias = tuple[int, int]
"""The first of the tokens that stand for a picture, and their number."""


class Placed(NamedTuple):
    """A reference latent in a text."""

    slot: Slot
    latent: Tensor
    """[batch, channels, h, w]."""


def name_placed(extras: Mapping[str, object]) -> dict[str, object]:
    """Return the extras with each reference under a name of its own, which has its place.

    Conditions share a call of the model only if their extras have the same names.

    Raises:
        UnplacedReferenceError: there are other places than references.
    """
    rest = {name: value for name, value in extras.items() if name not in {REFERENCES, SLOTS}}
    latents = cast("Sequence[Tensor]", extras.get(REFERENCES, ()))
    slots = cast("Sequence[Slot]", extras.get(SLOTS, ()))
    if len(latents) != len(slots):
        raise UnplacedReferenceError(len(latents), len(slots))
    return rest | {
        f"{REFERENCES} {start} {number}": latent
        for (start, number), latent in zip(slots, latents, strict=True)
    }


def placements(extras: Mapping[str, Tensor], x: Tensor) -> list[Placed]:
    """Return the references of a call in the order of their places, on the device of `x`.

    Args:
        extras: of the call, from `name_placed`.
        x: the latent that is denoised.
    """
    found: list[Placed] = []
    for name, latent in extras.items():
        if name.startswith(REFERENCES):
            start, number = name.split(" ")[1:]
            found.append(Placed((int(start), int(number)), latent.to(x)))
    return sorted(found, key=lambda each: each.slot)
