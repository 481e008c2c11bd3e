"""`comfy_api.input`: names of values that packs annotate with."""

from typing import Any, TypeAlias

ImageInput: TypeAlias = Any
MaskInput: TypeAlias = Any
LatentInput: TypeAlias = Any
AudioInput: TypeAlias = Any
VideoInput: TypeAlias = Any
CurveInput: TypeAlias = Any
VideoContainer: TypeAlias = Any
VideoCodec: TypeAlias = Any
VideoComponents: TypeAlias = Any
MESH: TypeAlias = Any
VOXEL: TypeAlias = Any
Image: TypeAlias = Any
Audio: TypeAlias = Any
Mask: TypeAlias = Any
Latent: TypeAlias = Any
Video: TypeAlias = Any
