"""Safety checkers: which pictures show what one would rather not show."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from nodes.models.adapters.errors import NoVectorError
from nodes.models.families.adapters.safety import CONCEPTS, SPECIAL, without_outer
from nodes.models.families.adapters.vision import vision_spec
from nodes.models.loading.checkpoint import networks
from nodes.models.loading.vision import VisionHandle
from nodes.models.weights.header import Header, numbers, read_header

_CARE = 0.01
"""By how much sooner concepts count in a picture that asks for special care."""


@dataclass(frozen=True, slots=True, eq=False)
class Concepts:
    """What pictures are compared with."""

    vectors: Tensor
    """[concepts, dim], of length 1."""
    thresholds: Tensor
    """[concepts]: the likeness from which on each counts."""

    def found(self, embeds: Tensor, sooner: Tensor | float = 0.0) -> Tensor:
        """Whether any of them is in a picture: [batch] of bool; scores are rounded to 0.001.

        Args:
            embeds: [batch, dim].
            sooner: [batch, 1] or a number, added to the likeness.
        """
        likeness = functional.normalize(embeds) @ self.vectors.T
        scores = likeness - self.thresholds + sooner
        return (scores.round(decimals=3) > 0).any(dim=1)


@dataclass(frozen=True, slots=True, eq=False)
class SafetyChecker:
    """A checker, opened."""

    vision: VisionHandle
    concepts: Concepts
    special: Concepts
    """What asks for special care."""

    def flags(self, pictures: Tensor) -> list[bool]:
        """Which of the pictures, [batch, height, width, 3 or 4] in [0, 1], show such a thing.

        Raises:
            NoVectorError: the file's encoder makes no vectors.
        """
        embeds = self.vision.see(pictures).embeds
        if embeds is None:
            raise NoVectorError
        care = self.special.found(embeds)[:, None] * _CARE
        return [bool(flag) for flag in self.concepts.found(embeds, care)]


def open_checker(path: Path, identity: str) -> SafetyChecker:
    """Open a safety checker; reads the file's header and its concepts.

    Raises:
        NotASafetyCheckerError: it holds no concepts.
        NotAVisionEncoderError: it holds no encoder.
        MissingWeightsError: it is incomplete.
    """
    header = without_outer(read_header(path))
    vision = VisionHandle(networks().network(header, identity, vision_spec(header)))
    return SafetyChecker(vision, _concepts(header, *CONCEPTS), _concepts(header, *SPECIAL))


def _concepts(header: Header, vectors: str, thresholds: str) -> Concepts:
    rows = torch.tensor(numbers(header, vectors)).view(header.shape(vectors))
    return Concepts(functional.normalize(rows), torch.tensor(numbers(header, thresholds)))
