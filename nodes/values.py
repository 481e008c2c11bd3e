"""The values that travel along links between nodes: the public import of packs.

Each class is defined in the room that computes with it; packs and node functions import it here.
"""

from typing import Annotated, TypeAlias

from torch import Tensor

from nodegraph.graph.sockets import Socket
from nodes.media.values import Audio, Video, VideoFile, VideoFrames
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.models.networks.components.vision import SeenPictures
from nodes.sampling.conditioning.cond import (
    CONTROL_TEXT,
    REFERENCES,
    Alteration,
    Area,
    Box,
    ConcatLatent,
    Cond,
    CondBatch,
    Conditioning,
    Control,
    ControlCall,
    ImagePrompt,
    RelativeArea,
    Residuals,
)
from nodes.sampling.conditioning.latents import Latent, Noise, Sigmas

Image: TypeAlias = Annotated[Tensor, Socket("IMAGE")]
"""Images: [batch, height, width, 3 or 4] float32 in [0, 1]."""

Mask: TypeAlias = Annotated[Tensor, Socket("MASK")]
"""Masks: [batch, height, width] float32 in [0, 1]; 1 is where something happens."""

__all__ = [
    "CONTROL_TEXT",
    "REFERENCES",
    "Alteration",
    "Area",
    "Audio",
    "Box",
    "ClipHandle",
    "ConcatLatent",
    "Cond",
    "CondBatch",
    "Conditioning",
    "Control",
    "ControlCall",
    "Image",
    "ImagePrompt",
    "Latent",
    "Mask",
    "ModelHandle",
    "Noise",
    "RelativeArea",
    "Residuals",
    "SeenPictures",
    "Sigmas",
    "VaeHandle",
    "Video",
    "VideoFile",
    "VideoFrames",
]
