"""Safety checkers, which flag pictures that show unwanted concepts."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from nodegraph.runtime.model_pool import ModelPool
from nodes.models.adapters.errors import NoVectorError
from nodes.models.families.adapters.safety import CONCEPTS, SPECIAL, unnest_encoder
from nodes.models.families.adapters.vision import vision_spec
from nodes.models.loading.checkpoint import open_network
from nodes.models.loading.vision import VisionHandle
from nodes.models.weights.header import Header, read_header, read_numbers

_CARE = 0.01
"""Added to the similarity in a picture that needs special care."""


@dataclass(frozen=True, slots=True, eq=False)
class Concepts:
    """The concepts that pictures are compared with."""

    vectors: Tensor
    """[concepts, dim], of length 1."""
    thresholds: Tensor
    """[concepts]: the least cosine similarity at which a picture shows the concept."""

    def matches(self, embeds: Tensor, offset: Tensor | float = 0.0) -> Tensor:
        """Return True for each picture that shows a concept: [batch]; scores are rounded to 0.001.

        Args:
            embeds: [batch, dim].
            offset: [batch, 1] or a number, added to the similarity.
        """
        similarity = functional.normalize(embeds) @ self.vectors.T
        scores = similarity - self.thresholds + offset
        return (scores.round(decimals=3) > 0).any(dim=1)


@dataclass(frozen=True, slots=True, eq=False)
class SafetyChecker:
    """An open safety checker."""

    vision: VisionHandle
    concepts: Concepts
    special: Concepts
    """The concepts that ask for special care."""

    def flags(self, pictures: Tensor) -> list[bool]:
        """Return True for each picture to flag, of [batch, height, width, 3 or 4] in [0, 1].

        Raises:
            NoVectorError: the file's encoder makes no vectors.
        """
        embeds = self.vision.see(pictures).embeds
        if embeds is None:
            raise NoVectorError(code="no_vector")
        embeds = embeds.cpu()  # where the concepts are, and where the flags are read
        care = self.special.matches(embeds)[:, None] * _CARE
        return [bool(flag) for flag in self.concepts.matches(embeds, care)]


def open_checker(path: Path, identity: str, models: ModelPool) -> SafetyChecker:
    """Open a safety checker; reads the file's header and its concepts.

    Raises:
        UnrecognisedFileError: it holds no concepts.
        UnrecognisedFileError: it holds no encoder.
        MissingWeightsError: it is incomplete.
    """
    header = unnest_encoder(read_header(path))
    vision = VisionHandle(open_network(models, header, identity, vision_spec(header)))
    return SafetyChecker(vision, _concepts(header, *CONCEPTS), _concepts(header, *SPECIAL))


def _concepts(header: Header, vectors: str, thresholds: str) -> Concepts:
    rows = torch.tensor(read_numbers(header, vectors)).view(header.shape(vectors))
    return Concepts(functional.normalize(rows), torch.tensor(read_numbers(header, thresholds)))
