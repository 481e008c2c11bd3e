"""Vision encoders: the value of a CLIP_VISION link, and how it encodes images."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from nodegraph.runtime.device_lane import device_lane
from nodegraph.runtime.model_pool import ModelPool
from nodes.models.families.adapters.vision import vision_spec
from nodes.models.loading.checkpoint import open_network
from nodes.models.loading.network import Network
from nodes.models.networks.base.errors import VisionEncoderMismatchError
from nodes.models.networks.components.vision import Crop, SeenPictures, prepare_pixels, see
from nodes.models.weights.header import read_header


@dataclass(frozen=True, slots=True)
class VisionHandle:
    """A vision encoder."""

    __socket__: ClassVar = "CLIP_VISION"

    network: Network

    def see(self, pictures: Tensor, crop: Crop = "center") -> SeenPictures:
        """Encode pictures, [batch, height, width, 3 or 4] in [0, 1]."""
        config = self.network.spec.config
        return self._run(prepare_pixels(pictures, config["image_size"], config["model_type"], crop))

    def see_nothing(self) -> SeenPictures:
        """Encode one picture that is zero everywhere after normalization."""
        size = self.network.spec.config["image_size"]
        return self._run(torch.zeros(1, 3, size, size))

    @torch.no_grad()
    def _run(self, pixels: Tensor) -> SeenPictures:
        place, module = self.network.placement, self.network.module()
        with device_lane(place.device):
            return see(module, pixels.to(place.device, place.dtype))


def read_states(states: Tensor | None, reader: Network, width: int, patches: int = 0) -> Tensor:
    """Return a vision encoder's states on the device and in the precision of their reader.

    Args:
        states: [batch, patches, width]; None if the encoder has no such layer.
        reader: the network that reads them.
        width: the width that it reads.
        patches: the number of patches that it reads; 0 for any.

    Raises:
        VisionEncoderMismatchError: it was made for another vision encoder.
    """
    reads = f"{reader.header.path.name!r} reads {width} numbers of each patch of an image"
    if states is None:
        raise VisionEncoderMismatchError(
            code="seen_states", reads=reads, found="it has too few layers"
        )
    if states.shape[2] != width:
        raise VisionEncoderMismatchError(
            code="seen_states", reads=reads, found=f"its states have {states.shape[2]}"
        )
    if patches and states.shape[1] != patches:
        found = f"it gives {states.shape[1]} patches, not {patches}"
        raise VisionEncoderMismatchError(code="seen_states", reads=reads, found=found)
    return states.to(reader.placement.device, reader.placement.dtype)


def open_vision(path: Path, identity: str, models: ModelPool) -> VisionHandle:
    """Open a vision encoder; reads the file's header only.

    Args:
        path: where it lies.
        identity: the file's sha256.
        models: the pool to share networks through.

    Raises:
        UnrecognisedFileError: there is none.
        MissingWeightsError: it is incomplete.
        BadMetadataError: an override in the metadata has no meaning.
    """
    header = read_header(path)
    return VisionHandle(open_network(models, header, identity, vision_spec(header)))
