"""Models whose weights can leave the memory, and come back when they are used."""

from abc import ABC, abstractmethod


class PooledModel(ABC):
    """A model whose weights can be let go of, and are read again when they are needed."""

    @abstractmethod
    def nbytes(self) -> int:
        """Return the bytes of its weights, whether or not they are in memory."""

    @property
    @abstractmethod
    def held_bytes(self) -> int:
        """The bytes that it holds in memory now, its patched copies' too; takes no lock."""

    @abstractmethod
    def unload(self) -> bool:
        """Let go of the weights; False if there are none."""

    @abstractmethod
    def trim(self) -> bool:
        """Let go of patched copies but the one that was used last; False if there are none."""
