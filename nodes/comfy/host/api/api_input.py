"""`comfy_api.input`: names of values that packs annotate with."""

from enum import StrEnum
from types import SimpleNamespace
from typing import Any, TypeAlias

from nodes.comfy.values.media import PackVideo as VideoInput
from nodes.comfy.values.media import VideoFromComponents, VideoFromFile

__all__ = ["VideoComponents", "VideoFromComponents", "VideoFromFile", "VideoInput"]
ImageInput: TypeAlias = Any
MaskInput: TypeAlias = Any
LatentInput: TypeAlias = Any
AudioInput: TypeAlias = Any
CurveInput: TypeAlias = Any
MESH: TypeAlias = Any
VOXEL: TypeAlias = Any
Image: TypeAlias = Any
Audio: TypeAlias = Any
Mask: TypeAlias = Any
Latent: TypeAlias = Any
Video: TypeAlias = Any
VideoComponents = SimpleNamespace


class _Choices(StrEnum):
    """Choices that a pack offers in an input of its own."""

    @classmethod
    def as_input(cls) -> list[str]:
        """Return the choices."""
        return [choice.value for choice in cls]


class VideoContainer(_Choices):
    """The kinds of video files."""

    AUTO = "auto"
    MP4 = "mp4"


class VideoCodec(_Choices):
    """The ways in which videos are coded."""

    AUTO = "auto"
    H264 = "h264"
