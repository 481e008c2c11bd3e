"""`comfy_api.input`: names of values that packs annotate with."""

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
VideoContainer: TypeAlias = Any
VideoCodec: TypeAlias = Any
VideoComponents = SimpleNamespace
MESH: TypeAlias = Any
VOXEL: TypeAlias = Any
Image: TypeAlias = Any
Audio: TypeAlias = Any
Mask: TypeAlias = Any
Latent: TypeAlias = Any
Video: TypeAlias = Any
