"""One way to drive any text encoder, layer by layer."""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from torch import Tensor, nn

from nodes.families.family import NetworkKind
from nodes.networks.clip import ClipText
from nodes.networks.t5 import T5Text


class TextNetwork(Protocol):
    """A text encoder: transformers' own forward passes take no embeddings, and run every layer."""

    @property
    def words(self) -> Tensor:
        """[vocabulary, width]: what each token is looked up as."""
        ...

    @property
    def pools(self) -> bool:
        """Whether its state at the end token stands for the whole text."""
        ...

    @property
    def depth(self) -> int:
        """How many layers it has."""
        ...

    def states(self, embedded: Tensor) -> Iterator[Tensor]:
        """What each layer gives, first to last: [rows, length, width] each.

        Args:
            embedded: [rows, length, width]: the tokens looked up, no positions.
        """
        ...

    def norm(self, states: Tensor) -> Tensor:
        """The norm that follows the last layer."""
        ...

    def project(self, pooled: Tensor) -> Tensor:
        """The projection of a pooled state; as it is if the file has none."""
        ...


TEXT_NETWORKS: Mapping[NetworkKind, Callable[[nn.Module], TextNetwork]] = {
    "clip": ClipText,
    "t5": T5Text,
}
