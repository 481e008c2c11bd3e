"""Models whose weights can leave the memory, and come back when they are used."""

from abc import ABC, abstractmethod


class PooledModel(ABC):
    """A model whose weights can be let go of, and are read again when they are needed.

    One that computes on an accelerator can also keep a part of its weights there only: the rest
    is parked in the machine's memory, and streamed in at each use. Which part that is, `resize`
    says; a model that can not be split is there whole or not at all.
    """

    title: str = ""
    """The model, for people; empty if it has no name."""

    @abstractmethod
    def nbytes(self) -> int:
        """Return the bytes of its weights, whether or not they are in memory."""

    @property
    @abstractmethod
    def held_bytes(self) -> int:
        """The bytes that it holds in memory now, its patched copies' too; takes no lock.

        For a model of the accelerator those on it, with the room that streamed weights pass
        through; `host_bytes` are not among them.
        """

    @abstractmethod
    def unload(self) -> bool:
        """Let go of the weights, those that are parked too; False if there are none."""

    @abstractmethod
    def trim(self) -> bool:
        """Let go of patched copies but the one that was used last; False if there are none."""

    @property
    def source(self) -> str:
        """The path of the file that its weights are from; empty if there is none."""
        return ""

    @property
    def on_accelerator(self) -> bool:
        """True if it computes on the accelerator, whose memory is planned."""
        return False

    @property
    def host_bytes(self) -> int:
        """The bytes of its weights that are parked in the machine's memory; takes no lock."""
        return 0

    @property
    def least_bytes(self) -> int:
        """The bytes of the accelerator that it can not do without while it computes.

        That is what never leaves, and the room that streamed weights pass through.
        """
        return self.nbytes()

    @property
    def steady_bytes(self) -> int:
        """The bytes of the accelerator with which only those weights come that are read seldom."""
        return self.nbytes()

    @property
    def loading_bytes(self) -> int:
        """The bytes of the accelerator that loading takes for a moment, beside the weights."""
        return 0

    @property
    def unpacked_bytes(self) -> int:
        """The bytes of the accelerator that its largest quantized weight takes while it is used."""
        return 0

    def resize(self, nbytes: int, *, waits: bool = False) -> None:
        """Let at most so many bytes be on the accelerator from now on, and park the rest.

        It holds for weights that are not loaded yet, too, and until the next call. To be called
        while nothing computes on the device, by who has its lane.

        Args:
            nbytes: all that `held_bytes` may be; 0 parks it whole.
            waits: it is not to compute before the next call: no room is kept for weights that
                pass through, and no weights come to the accelerator.
        """
        del waits
        if nbytes < self.nbytes():
            self.unload()
