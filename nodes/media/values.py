"""The values of VIDEO and AUDIO links: plain data that every cache and process can keep."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias

from torch import Tensor

from nodegraph.graph.sockets import Socket


@dataclass(frozen=True, slots=True)
class Audio:
    """Sound."""

    __socket__: ClassVar = "AUDIO"
    __data__: ClassVar = True

    waveform: Tensor
    """[batch, channels, samples] float32, in [-1, 1] where nothing is clipped."""
    sample_rate: int
    """Samples a second."""

    @property
    def seconds(self) -> float:
        """The length."""
        return self.waveform.shape[-1] / self.sample_rate


@dataclass(frozen=True, slots=True)
class VideoFrames:
    """A video as pictures, and its sound."""

    __socket__: ClassVar = "VIDEO"
    __data__: ClassVar = True

    images: Tensor
    """[frames, height, width, 3] float32 in [0, 1]."""
    fps: float
    """Frames a second."""
    audio: Audio | None = None


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A video as the content of its file, not decoded yet."""

    __socket__: ClassVar = "VIDEO"
    __data__: ClassVar = True

    data: Tensor
    """The file: [bytes] uint8."""
    name: str
    """The file's name, for messages."""

    def content(self) -> bytes:
        """Return the file."""
        return self.data.cpu().numpy().tobytes()


Video: TypeAlias = Annotated[VideoFile | VideoFrames, Socket("VIDEO")]
