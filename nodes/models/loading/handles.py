"""The values of MODEL, CLIP and VAE links: references to weights, with patches on top.

Handles are values: cheap, immutable, equal by content. The weights behind them are shared.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Protocol, TypeAlias, cast

import torch
from torch import Tensor
from torch.nn import functional

from nodegraph.runtime.device_lane import device_lane
from nodegraph.runtime.devices import has_bfloat16
from nodegraph.runtime.residency import ModelUse
from nodegraph.runtime.run_environment import plan_use
from nodes.models.loading.autoencoder import Autoencoder
from nodes.models.loading.diffusion_model import DiffusionModel
from nodes.models.loading.network import Alterations, Patch, Patches
from nodes.models.loading.text_model import TextModel, Texts
from nodes.models.networks.call_memory import vae_peak
from nodes.models.networks.components.vaes.vae import Vae
from nodes.models.networks.factory import skeleton
from nodes.models.text.encode import Chunks, Encoded
from nodes.models.text.textual_inversion import Embeddings
from nodes.sampling.conditioning.cond import Alteration, Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch
from nodes.sampling.conditioning.latents import LatentFormat
from nodes.sampling.guidance.settings import PLAIN, GuidanceSettings
from nodes.sampling.noise_schedule.parameterization import Parameterization

SigmaAt: TypeAlias = Callable[[float], float]
"""A function from a fraction of the schedule to the level there."""


class ConditioningInjection(Protocol):
    """Injects tensors into every condition, where the network's adapter finds them."""

    def conditions(self, cond: Cond, number: int, size: tuple[int, int], branch: Branch) -> Cond:
        """Return a condition with the injected tensors in `extras`, [1, …] each.

        Args:
            cond: as nodes made it.
            number: the place of this injection among the handle's, from 0.
            size: height and width of the whole latent.
            branch: the branch of guidance that it belongs to.
        """
        ...

    def at(self, cond: CondBatch, number: int, sigma: Tensor, sigma_at: SigmaAt) -> CondBatch:
        """Return the conditions of a call with the injection as it holds at the levels, [batch]."""
        ...


@dataclass(frozen=True, slots=True)
class ModelHandle:
    """A denoising network; `nodes.models.loading.forward` puts it to work."""

    __socket__: ClassVar = "MODEL"

    model: DiffusionModel
    patches: Patches = ()
    sampling: Parameterization | None = None
    """Replaces the model's own parameterization."""
    guidance: GuidanceSettings = PLAIN
    """The settings of guidance, which combines predictions after the forward pass."""
    latents: LatentFormat | None = None
    """Replaces the model's own latent format."""
    injections: tuple[ConditioningInjection, ...] = ()
    """Tensors that it reads besides the conditions, such as those of an IP-Adapter."""
    alterations: Alterations = ()
    """The changes inside of its network."""
    compute: torch.dtype | None = None
    """The dtype that its network computes in; None is its placement's."""

    @property
    def parameterization(self) -> Parameterization:
        """The kind of noise and of prediction that the model was trained with."""
        return self.sampling or self.model.parameterization

    @property
    def latent_format(self) -> LatentFormat:
        """The scale and shift from the VAE's latents to the model's."""
        return self.latents or self.model.latent_format

    @property
    def repeats_text(self) -> bool:
        """See `nodes.sampling.conditioning.denoiser.Denoiser`."""
        return self.model.adapter.repeats_text

    @property
    def weight_bytes(self) -> int:
        """The bytes that it takes in memory."""
        return self.model.network.nbytes(self.patches)

    @property
    def dtype(self) -> torch.dtype:
        """The type that its network computes in."""
        return self.compute or self.model.network.placement.dtype

    @property
    def precision(self) -> str:
        """The precision that it computes in, such as `float16`."""
        return _name(self.dtype)

    def in_wider_dtype(self) -> "ModelHandle":
        """Return the same model computing with larger numbers; itself if it is float32 already.

        That is bfloat16 for float16 where the device has it, which takes no more memory.
        """
        if self.dtype == torch.float32:
            return self
        device = self.model.network.placement.device
        has_wide_half = self.dtype == torch.float16 and has_bfloat16(device)
        return replace(self, compute=torch.bfloat16 if has_wide_half else torch.float32)

    def with_patch(self, patch: Patch) -> "ModelHandle":
        """Return the model with one more patch on top."""
        return replace(self, patches=(*self.patches, patch))

    def check(self, alteration: Alteration) -> None:
        """Make sure that a change inside of the network fits it.

        Raises:
            NodeGraphError: it isn't for a network of this kind.
        """
        alteration.alter(skeleton(self.model.network.spec))

    def with_alteration(self, alteration: Alteration) -> "ModelHandle":
        """Return the model with one more change inside of its network.

        Raises:
            NodeGraphError: it isn't for a network of this kind.
        """
        self.check(alteration)
        return replace(self, alterations=(*self.alterations, alteration))

    def without_alterations(self, kind: type[Alteration]) -> "ModelHandle":
        """Return the model without the changes of one kind inside of its network."""
        left = (each for each in self.alterations if not isinstance(each, kind))
        return replace(self, alterations=tuple(left))


@dataclass(frozen=True, slots=True)
class ClipHandle:
    """The text encoders of a family."""

    __socket__: ClassVar = "CLIP"

    text: TextModel
    patches: tuple[tuple[str, Patch], ...] = ()
    """Each with the text encoder that it is for."""
    layer: int | None = None
    """The layer whose states are read, -1 is the last; None is the family's own choice."""
    notes: Mapping[str, object] = field(default_factory=dict[str, object], compare=False)
    """Values that nodes keep with it for other nodes of their pack; nothing here reads them."""

    @property
    def weight_bytes(self) -> int:
        """The bytes that it takes in memory; 0 if its file has none."""
        patches = self.by_encoder
        return sum(
            encoder.weight_bytes(patches.get(encoder.name, ())) for encoder in self.text.found
        )

    def with_patch(self, encoder: str, patch: Patch) -> "ClipHandle":
        """Return the encoders with one more patch on top of one of them."""
        return replace(self, patches=(*self.patches, (encoder, patch)))

    def with_chat(self, template: str, dropped: int) -> "ClipHandle":
        """Return the language models with another text around prompts; see `TextRules`.

        Raises:
            ChatlessEncoderError: there is an encoder that is no language model.
        """
        return replace(self, text=self.text.with_chat(template, dropped))

    def encode(
        self, texts: str | Texts, embeddings: Embeddings, pictures: Sequence[Tensor] = ()
    ) -> Encoded:
        """Encode a prompt, weights and all.

        Args:
            texts: one for all text encoders, or one each by their names.
            embeddings: where textual inversions are.
            pictures: in the order of their places in the text: [height, width, 3 or 4] in [0, 1].

        Raises:
            NodeGraphError: as for `TextModel.chunks`.
        """
        each = {"": texts} if isinstance(texts, str) else texts
        return self.encode_chunks(self.text.chunks(each, embeddings, pictures))

    def chunks(self, text: str, embeddings: Embeddings) -> Mapping[str, Chunks]:
        """Return the chunks of a prompt for each text encoder, by its name."""
        return self.text.chunks({"": text}, embeddings)

    def encode_chunks(self, chunks: Mapping[str, Chunks]) -> Encoded:
        """Encode a prompt by its chunks for each text encoder, weights and all."""
        (encoded,) = self.text.encode_chunks([chunks], self.by_encoder, self.layer)
        return encoded

    @property
    def by_encoder(self) -> Mapping[str, Patches]:
        """The patches of each text encoder, by its name; none for any other name."""
        found: defaultdict[str, Patches] = defaultdict(tuple)
        for encoder, patch in self.patches:
            found[encoder] = (*found[encoder], patch)
        return found


@dataclass(frozen=True, slots=True)
class VaeHandle:
    """An autoencoder: pictures to latents and back, one picture at a time."""

    __socket__: ClassVar = "VAE"

    vae: Autoencoder
    compute: torch.dtype | None = None
    """The dtype that its network computes in; None is its placement's."""

    @property
    def weight_bytes(self) -> int:
        """The bytes that it takes in memory; 0 if its file has none."""
        return self.vae.found.nbytes() if self.vae.found else 0

    @property
    def dtype(self) -> torch.dtype:
        """The type that its network computes in.

        That is float32 once numbers of the network have been too large for another.
        """
        network = self.vae.network
        wanted = self.compute or network.placement.dtype
        return torch.float32 if wanted in network.too_narrow else wanted

    @property
    def precision(self) -> str:
        """The precision that it computes in, such as `float16`."""
        return _name(self.dtype)

    def note_overflow(self) -> None:
        """Let the network compute in float32 from now on instead of in this handle's type."""
        self.vae.network.too_narrow.add(self.dtype)

    @property
    def downscale(self) -> int:
        """The image pixels that a latent pixel stands for, each way."""
        return self.vae.downscale

    @property
    def channels(self) -> int:
        """The number of channels of its latents."""
        return self.vae.channels

    @property
    def picture_channels(self) -> int:
        """The number of channels of its pictures: 4 if they have an alpha channel."""
        return self.vae.picture_channels

    @torch.no_grad()
    def encode(self, picture: Tensor) -> Tensor:
        """Return the most likely latent of a picture.

        Args:
            picture: [1, 3 or 4, height, width] float32 in [0, 1], sides multiples of `downscale`.
                A VAE without alpha reads no fourth channel; for one with alpha, pictures without
                it are opaque.

        Returns:
            [1, channels, height / downscale, width / downscale] float32, unscaled, on the VAE's
            device.
        """
        with device_lane(self.vae.network.placement.device):
            pixels = self._fit_channels(picture)
            network = self._network("encode", pixels)
            (posterior,) = network.encode(self._to_network(pixels * 2 - 1), return_dict=False)
        return posterior.mean.to(picture.dtype)

    @torch.no_grad()
    def decode(self, latent: Tensor) -> Tensor:
        """Return the picture of a latent, on the VAE's device: of `picture_channels` channels.

        Values may lie a little outside [0, 1].
        """
        with device_lane(self.vae.network.placement.device):
            network = self._network("decode", latent)
            (picture,) = network.decode(self._to_network(latent), return_dict=False)
        return (picture.to(latent.dtype) + 1) / 2

    def _network(self, method: Literal["encode", "decode"], x: Tensor) -> Vae:
        """Return the network, with room on its device for a call."""
        network = self.vae.network
        if network.on_accelerator:
            peak = vae_peak(network.spec, self.dtype, method, tuple(x.shape))
            plan_use(ModelUse.of((network,), peak, repeats=False))
        return cast("Vae", network.module(dtype=self.dtype))

    def _fit_channels(self, picture: Tensor) -> Tensor:
        missing = self.picture_channels - picture.shape[1]
        if missing > 0:
            return functional.pad(picture, (0, 0, 0, 0, 0, missing), value=1.0)
        return picture[:, : self.picture_channels]

    def _to_network(self, x: Tensor) -> Tensor:
        return x.to(self.vae.network.placement.device, self.dtype)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
