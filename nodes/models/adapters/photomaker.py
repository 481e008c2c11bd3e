"""PhotoMaker: the value of a PHOTOMAKER link."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from nodegraph.runtime.device_lane import device_lane
from nodegraph.runtime.model_pool import ModelPool
from nodes.models.adapters.errors import StyleMismatchError
from nodes.models.families.adapters.photomaker import photomaker_spec
from nodes.models.loading.checkpoint import open_network
from nodes.models.loading.network import Network
from nodes.models.networks.components.vision import prepare_pixels
from nodes.models.weights.header import read_header


@dataclass(frozen=True, slots=True)
class PhotoMakerHandle:
    """A PhotoMaker."""

    __socket__: ClassVar = "PHOTOMAKER"

    network: Network

    @torch.no_grad()
    def fuse(self, pictures: Tensor, words: Tensor) -> Tensor:
        """Return the embeddings of words that stand for the person in the pictures.

        Args:
            pictures: [n, height, width, 3 or 4] in [0, 1].
            words: [n, width] float32: embeddings of words, one a picture.

        Raises:
            StyleMismatchError: the text encoders are those of another family.
        """
        config, place = self.network.spec.config, self.network.placement
        wide = config["first"] + config["second"]
        if words.shape[1] != wide:
            raise StyleMismatchError(self.network.header.path, wide, words.shape[1])
        pixels = prepare_pixels(pictures, config["eyes"]["image_size"], "clip")
        module = self.network.module()
        with device_lane(place.device):
            made: Tensor = module(
                pixels.to(place.device, place.dtype), words.to(place.device, place.dtype)
            )
        return made.to(words)


def open_photomaker(path: Path, identity: str, models: ModelPool) -> PhotoMakerHandle:
    """Open a PhotoMaker; reads the file's header only.

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
    return PhotoMakerHandle(open_network(models, header, identity, photomaker_spec(header)))
