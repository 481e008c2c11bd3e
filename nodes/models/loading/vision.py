"""Vision encoders as they travel along links."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from nodes.models.families.adapters.vision import vision_spec
from nodes.models.loading.checkpoint import networks
from nodes.models.loading.errors import SeenStatesError
from nodes.models.loading.network import Network
from nodes.models.networks.components.vision import Crop, SeenPictures, prepared, see
from nodes.models.weights.header import read_header


@dataclass(frozen=True, slots=True)
class VisionHandle:
    """A vision encoder."""

    __socket__: ClassVar = "CLIP_VISION"

    network: Network

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.network.nbytes()

    def see(self, pictures: Tensor, crop: Crop = "center") -> SeenPictures:
        """What it sees in pictures, [batch, height, width, 3 or 4] in [0, 1]."""
        config = self.network.spec.config
        return self._run(prepared(pictures, config["image_size"], config["model_type"], crop))

    def see_nothing(self) -> SeenPictures:
        """What it sees in one picture that is zero everywhere once it is normed."""
        size = self.network.spec.config["image_size"]
        return self._run(torch.zeros(1, 3, size, size))

    @torch.no_grad()
    def _run(self, pixels: Tensor) -> SeenPictures:
        place = self.network.placement
        return see(self.network.module(), pixels.to(place.device, place.dtype))


def read_states(states: Tensor | None, reader: Network, width: int, patches: int = 0) -> Tensor:
    """A vision encoder's states where another network reads them.

    Args:
        states: [batch, patches, width]; None if the encoder has no such layer.
        reader: the other network.
        width: what it wants.
        patches: the same; 0 if any number will do.

    Raises:
        SeenStatesError: it was made for another vision encoder.
    """
    if states is None:
        raise SeenStatesError(reader.header.path, width, "it has too few layers")
    if states.shape[2] != width:
        raise SeenStatesError(reader.header.path, width, f"it says {states.shape[2]}")
    if patches and states.shape[1] != patches:
        found = f"it sees {states.shape[1]} patches, not {patches} patches"
        raise SeenStatesError(reader.header.path, width, found)
    return states.to(reader.placement.device, reader.placement.dtype)


def open_vision(path: Path, identity: str) -> VisionHandle:
    """Open a vision encoder; reads the file's header only.

    Args:
        path: where it lies.
        identity: the file's sha256.

    Raises:
        NotAVisionEncoderError: there is none.
        MissingWeightsError: it is incomplete.
        BadMetadataError: an override in the metadata has no meaning.
    """
    header = read_header(path)
    return VisionHandle(networks().network(header, identity, vision_spec(header)))
