"""IP-Adapters: the value of an IPADAPTER link, and image prompts that a model reads."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from nodegraph.runtime.device_lane import device_lane
from nodegraph.runtime.model_pool import ModelPool
from nodes.models.adapters.errors import NoVectorError
from nodes.models.families.adapters.ip_adapter import ip_adapter_spec
from nodes.models.loading.checkpoint import open_network
from nodes.models.loading.diffusion_model import DiffusionModel
from nodes.models.loading.handles import SigmaAt
from nodes.models.loading.network import Network
from nodes.models.loading.vision import VisionHandle, read_states
from nodes.models.networks.base.errors import VisionEncoderMismatchError
from nodes.models.networks.components.vision import SeenPictures
from nodes.models.networks.denoisers.unets.cross_attention import KEYS, MASK, VALUES
from nodes.models.networks.factory import network_class
from nodes.models.patches.errors import ModelMismatchError
from nodes.models.weights.header import read_header
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch

_CROSS = ".attn2.to_k.weight"


@dataclass(frozen=True, slots=True, eq=False)
class ImageKeys:
    """The keys and values of images for all cross-attentions."""

    keys: Tensor
    """[1, tokens of all images, the widths of all cross-attentions] float32."""
    values: Tensor
    """The same."""


@dataclass(frozen=True, slots=True)
class IPAdapterHandle:
    """An IP-Adapter."""

    __socket__: ClassVar = "IPADAPTER"

    network: Network
    vision: VisionHandle | None = None
    """The vision encoder that was opened with it, if any."""

    @property
    def is_plain(self) -> bool:
        """True if it reads each image as one vector; others read all patches."""
        return self.network.spec.config["projection"] == "plain"

    def check(self, model: DiffusionModel) -> None:
        """Make sure that it fits a model.

        Raises:
            ModelMismatchError: it was made for another family.
        """
        config, network = self.network.spec.config, model.network
        reads = network_class(network.spec.kind).cross_attends
        sources = network.file.sources.items() if reads else ()
        crossing = [source.key for key, source in sources if key.endswith(_CROSS)]
        widths = [network.header.shape(key)[0] for key in crossing]
        text = network.spec.config.get("cross_attention_dim")
        if widths != config["widths"] or text != config["text"]:
            raise ModelMismatchError(self.network.header.path, code="ip_adapter_mismatch")

    @torch.no_grad()
    def keys(self, seen: SeenPictures) -> ImageKeys:
        """Return the keys and values of images.

        Raises:
            VisionEncoderMismatchError: it was made for another vision encoder.
            NoVectorError: it reads a vector, and the vision encoder makes none.
        """
        module = self.network.module()
        with device_lane(self.network.placement.device):
            made: tuple[Tensor, Tensor] = module(self._read(seen))
        keys, values = (part.flatten(0, 1)[None].float() for part in made)
        return ImageKeys(keys, values)

    def negative_keys(self, seen: SeenPictures, blank: SeenPictures) -> ImageKeys:
        """Return the keys and values for the negative branch.

        Args:
            seen: the images of the positive branch.
            blank: an image of zeros, as the same vision encoder sees it.
        """
        if self.is_plain and seen.embeds is not None:
            return self.keys(replace(seen, embeds=torch.zeros_like(seen.embeds)))
        return self.keys(blank)

    def combine(self, seen: SeenPictures, how: Callable[[Tensor], Tensor]) -> SeenPictures:
        """Return several images as one, of what this adapter reads of each.

        Args:
            seen: of all images.
            how: from [images, …] to [1, …].
        """
        embeds = None if seen.embeds is None else how(seen.embeds)
        return replace(seen, embeds=embeds, states={-2: how(seen.states[-2])})

    def _read(self, seen: SeenPictures) -> Tensor:
        wide, place = self.network.spec.config["seen"], self.network.placement
        if not self.is_plain:
            return read_states(seen.states.get(-2), self.network, wide)
        if seen.embeds is None:
            raise NoVectorError(code="no_vector")
        if seen.embeds.shape[1] != wide:
            raise VisionEncoderMismatchError(
                code="seen_width",
                reads=f"{self.network.header.path.name!r} reads {wide} numbers of an image",
                found=f"it gives {seen.embeds.shape[1]}",
            )
        return seen.embeds.to(place.device, place.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class IPAdapterInjection:
    """Images that all cross-attentions read: a `ConditioningInjection`."""

    positive: ImageKeys
    negative: ImageKeys
    weight: float | Tensor = 1.0
    """The factor of the values: one, or one for each of their columns, [widths]."""
    start: float = 0.0
    end: float = 1.0
    """The part of the schedule it holds for, in fractions: 0 is pure noise, 1 the image."""
    mask: Tensor | None = None
    """[batch or 1, height, width] at any size: the part of the image that reads it."""
    key_weight: float | Tensor = 1.0
    """The factor of the keys; as `weight`."""

    def conditions(self, cond: Cond, number: int, size: tuple[int, int], branch: Branch) -> Cond:
        """Return a condition with the keys and values of its branch, and the mask of its area.

        The keys and values are times their weights.
        """
        images = self.negative if branch == "negative" else self.positive
        extras = {
            f"{KEYS}{number}": _weigh(images.keys, self.key_weight),
            f"{VALUES}{number}": _weigh(images.values, self.weight),
        }
        if self.mask is not None:
            mask = functional.interpolate(
                self.mask[:, None], size=size, mode="bilinear", antialias=True
            )
            if area := cond.area:
                mask = mask[..., area.y : area.y + area.height, area.x : area.x + area.width]
            extras[f"{MASK}{number}"] = mask
        return replace(cond, extras={**cond.extras, **extras})

    @property
    def _is_nothing(self) -> bool:
        """True if the weight is 0 everywhere."""
        weight = self.weight
        return not weight.any() if isinstance(weight, Tensor) else weight == 0

    def at(self, cond: CondBatch, number: int, sigma: Tensor, sigma_at: SigmaAt) -> CondBatch:
        """Return conditions as they are, or without the images outside of its range."""
        held = (sigma <= sigma_at(self.start)) & (sigma >= sigma_at(self.end))
        own = {f"{part}{number}" for part in (KEYS, VALUES, MASK)}
        values = f"{VALUES}{number}"
        if values not in cond.extras:
            return cond
        if self._is_nothing or not held.any():
            rest = {name: value for name, value in cond.extras.items() if name not in own}
            return replace(cond, extras=rest)
        if held.all():
            return cond
        rows = held.to(cond.extras[values])[:, None, None]
        return replace(cond, extras={**cond.extras, values: cond.extras[values] * rows})


def _weigh(x: Tensor, weight: float | Tensor) -> Tensor:
    return x * (weight.to(x) if isinstance(weight, Tensor) else weight)


def open_ip_adapter(path: Path, identity: str, models: ModelPool) -> IPAdapterHandle:
    """Open an IP-Adapter; reads the file's header only.

    Args:
        path: where it lies.
        identity: the file's sha256.
        models: the pool to share networks through.

    Raises:
        UnrecognisedFileError: there is none.
        UnavailableHereError: it reads faces otherwise than by a vision encoder.
        MissingWeightsError: it is incomplete.
    """
    header = read_header(path)
    return IPAdapterHandle(open_network(models, header, identity, ip_adapter_spec(header)))
