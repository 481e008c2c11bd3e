"""CLIP and VAE in ComfyUI's form: thin objects around the handles."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nodes.comfy.values import runtime
from nodes.comfy.values.errors import NotOfferedPartError
from nodes.comfy.values.patches.weight_names import shapes_of
from nodes.comfy.values.patches.weights import key_patches, note_patches, weight_patch
from nodes.models.loading.handles import ClipHandle, VaeHandle
from nodes.models.text.textual_inversion import Embeddings
from nodes.values import Cond, Conditioning


class TextEncoders:
    """The object under `clip.cond_stage_model`, which is of no class of ComfyUI's."""

    def __init__(self, handle: ClipHandle) -> None:
        self.networks = {encoder.name: encoder.network for encoder in handle.text.found}
        """The text encoders by their names."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return the names of its weights, with tensors that have shapes and no values."""
        return {
            name: shape
            for network in self.networks.values()
            for name, shape in shapes_of(network).items()
        }

    def __getattr__(self, name: str) -> Any:
        """Refuse what has no counterpart.

        Raises:
            NotOfferedPartError: always; it is an AttributeError, too.
        """
        what = f"the {name!r} of text encoders"
        raise NotOfferedPartError(what)


class TextPatcher:
    """The object under `clip.patcher`: names and shapes of weights, and changes of them."""

    def __init__(self, clip: "PackClip") -> None:
        self._clip = clip
        self.patches: dict[str, list[Any]] = {}
        self.load_device = self.offload_device = torch.device("cpu")

    @property
    def model(self) -> TextEncoders:
        """Return the text encoders."""
        return self._clip.cond_stage_model

    def model_state_dict(self, filter_prefix: str | None = None) -> dict[str, Tensor]:
        """Return the names of its weights, with tensors that have shapes and no values."""
        found = self.model.state_dict().items()
        return {name: shape for name, shape in found if name.startswith(filter_prefix or "")}

    def model_size(self) -> int:
        """Return the size in bytes."""
        return self._clip.handle.weight_bytes

    def add_patches(
        self, patches: Mapping[Any, Any], strength_patch: float = 1.0, strength_model: float = 1.0
    ) -> list[Any]:
        """Change weights; return the names of those that there are.

        Args:
            patches: changes by the name of the weight, as from `comfy.lora.load_lora`.
            strength_patch: the factor of the changes.
            strength_model: the factor of the weights as they were.
        """
        handle, used = self._clip.handle, set[str]()
        for name, network in self.model.networks.items():
            patch = weight_patch(network, patches, strength_patch, strength_model)
            if patch.changes:
                handle, used = handle.with_patch(name, patch), used | patch.changes.keys()
        self._clip.handle = handle
        return note_patches(self.patches, patches, used, strength_patch, strength_model)

    def get_key_patches(self, filter_prefix: str | None = None) -> dict[str, list[Any]]:
        """Return the weights as values of `add_patches`, by name."""
        patches, networks = self._clip.handle.by_encoder, self.model.networks
        each = (key_patches(net, patches[name], filter_prefix) for name, net in networks.items())
        return {name: value for found in each for name, value in found.items()}

    def __getattr__(self, name: str) -> Any:
        """Refuse what has no counterpart.

        Raises:
            NotOfferedPartError: always; it is an AttributeError, too.
        """
        what = f"the {name!r} of a CLIP's patcher"
        raise NotOfferedPartError(what)


class PackClip:
    """A CLIP: text encoders."""

    def __init__(self, handle: ClipHandle) -> None:
        self.handle = handle
        self.patcher = TextPatcher(self)

    @property
    def cond_stage_model(self) -> TextEncoders:
        """Return the text encoders, for the names of their weights."""
        return TextEncoders(self.handle)

    def add_patches(
        self, patches: Mapping[Any, Any], strength_patch: float = 1.0, strength_model: float = 1.0
    ) -> list[Any]:
        """Change weights; see `TextPatcher.add_patches`."""
        return self.patcher.add_patches(patches, strength_patch, strength_model)

    def get_key_patches(self) -> dict[str, list[Any]]:
        """Return the weights as values of `add_patches`, by name."""
        return self.patcher.get_key_patches()

    @property
    def layer_idx(self) -> int | None:
        """Return the layer whose states are read; None is the family's own choice."""
        return self.handle.layer

    def load_model(self) -> "TextPatcher":
        """Return its patcher: weights are loaded when they are needed."""
        return self.patcher

    def __getattr__(self, name: str) -> Any:
        """Refuse a part that has no counterpart.

        Raises:
            NotOfferedPartError: always; it is an AttributeError, too.
        """
        what = f"the {name!r} of a CLIP"
        raise NotOfferedPartError(what)

    def clone(self) -> "PackClip":
        """Return a copy."""
        return PackClip(self.handle)

    def clip_layer(self, layer: int) -> None:
        """Use an earlier layer."""
        self.handle = replace(self.handle, layer=layer)

    def tokenize(self, text: str, **_more: object) -> dict[str, Any]:
        """Return a text's tokens as an opaque dict for the encode methods."""
        return {"text": text}

    def encode_from_tokens(
        self, tokens: Mapping[str, Any], return_pooled: bool = False, return_dict: bool = False
    ) -> Any:
        """Encode the result of `tokenize`: hidden states, and the pooled vector if asked for."""
        (cond,) = self._encode_tokens(tokens).conds
        if return_dict:
            return {"cond": cond.tokens, "pooled_output": cond.pooled}
        return (cond.tokens, cond.pooled) if return_pooled else cond.tokens

    def encode_from_tokens_scheduled(
        self, tokens: Mapping[str, Any], add_dict: Mapping[str, Any] | None = None, **_more: object
    ) -> list[list[Any]]:
        """Encode the result of `tokenize` as CONDITIONING."""
        (cond,) = self._encode_tokens(tokens).conds
        return [[cond.tokens, {"pooled_output": cond.pooled, **(add_dict or {})}]]

    def encode(self, text: str) -> Tensor:
        """Return a text's hidden states."""
        return self.encode_from_tokens(self.tokenize(text))

    def _encode_tokens(self, tokens: Mapping[str, Any]) -> Conditioning:
        running = runtime.context()
        embeddings = Embeddings(runtime.files(), running.notice if running else _ignore)
        encoded = self.handle.encode(str(tokens["text"]), embeddings)
        pooled = None if encoded.pooled is None else encoded.pooled.cpu()
        return Conditioning((Cond(encoded.tokens.cpu(), pooled),))


class PackVae:
    """A VAE."""

    def __init__(self, handle: VaeHandle) -> None:
        self.handle = handle
        self.latent_channels = handle.channels
        self.downscale_ratio = handle.downscale

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode [batch, height, width, 3] in [0, 1] to latents."""
        from nodes.inference.vae import crop_to_vae  # Here: it imports much.

        images = crop_to_vae(pixels.movedim(-1, 1), self.handle)[:, :3]
        return torch.cat([self.handle.encode(image) for image in torch.split(images, 1)]).cpu()

    def decode(self, samples: Tensor) -> Tensor:
        """Decode latents to [batch, height, width, 3] in [0, 1]."""
        images = torch.cat([self.handle.decode(latent) for latent in torch.split(samples, 1)])
        return images.clamp(0.0, 1.0).movedim(1, -1).contiguous().cpu()

    @property
    def device(self) -> torch.device:
        """Return the device that it computes on."""
        return self.handle.vae.network.placement.device

    @property
    def vae_dtype(self) -> torch.dtype:
        """Return the dtype that it computes in."""
        return self.handle.dtype

    @property
    def output_device(self) -> torch.device:
        """Return the device of its results."""
        return torch.device("cpu")

    @property
    def upscale_ratio(self) -> int:
        """Return the number of pixels per latent pixel, along each side."""
        return self.handle.downscale

    def throw_exception_if_invalid(self) -> None:
        """Make sure that there is a VAE.

        Raises:
            MissingPartError: the file has none.
        """
        _ = self.handle.vae.network

    def temporal_compression_decode(self) -> int | None:
        """Return None: it has no time."""
        return None

    def __getattr__(self, name: str) -> Any:
        """Refuse a part that has no counterpart.

        Raises:
            NotOfferedPartError: always; it is an AttributeError, too.
        """
        what = f"the {name!r} of a VAE"
        raise NotOfferedPartError(what)

    def spacial_compression_decode(self) -> int:
        """Return the number of pixels per latent pixel, along each side."""
        return self.handle.downscale

    spacial_compression_encode = spacial_compression_decode


def _ignore(message: str) -> None:
    del message
