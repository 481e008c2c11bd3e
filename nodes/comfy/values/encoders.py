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
from nodes.imaging.tiling import compute_tiled, tilings
from nodes.models.loading.handles import ClipHandle, VaeHandle
from nodes.models.loading.text_model import TextEncoder
from nodes.models.text.chunks import Token
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
        self.model_options: dict[str, Any] = dict(clip.handle.notes)
        """Values of packs' own, which go with the CLIP from node to node."""
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
        return PackClip(self.to_native())

    def to_native(self) -> ClipHandle:
        """Return the handle, with the values that packs keep with it."""
        return replace(self.handle, notes=dict(self.patcher.model_options))

    def clip_layer(self, layer: int) -> None:
        """Use an earlier layer."""
        self.handle = replace(self.handle, layer=layer)

    def tokenize(
        self, text: str, return_word_ids: bool = False, **_more: object
    ) -> dict[str, list[list[tuple[Any, ...]]]]:
        """Return a text's chunks for each text encoder: `l`, `g`, `t5xxl`.

        Each token is its id, or the vector of an embedding, and its weight; with
        `return_word_ids` also the number of the stretch of text that it is from.
        """
        return {
            _short(name): [[_as_tuple(token, return_word_ids) for token in part] for part in chunks]
            for name, chunks in self.handle.chunks(str(text), _embeddings()).items()
        }

    def encode_from_tokens(
        self, tokens: Mapping[str, Any], return_pooled: bool = False, return_dict: bool = False
    ) -> Any:
        """Encode the result of `tokenize`: hidden states, and the pooled vector if asked for."""
        (cond,) = self._encode_tokens(tokens).conds
        if return_dict:
            return {"cond": cond.tokens, "pooled_output": cond.pooled, **cond.extras}
        return (cond.tokens, cond.pooled) if return_pooled else cond.tokens

    def encode_from_tokens_scheduled(
        self, tokens: Mapping[str, Any], add_dict: Mapping[str, Any] | None = None, **_more: object
    ) -> list[list[Any]]:
        """Encode the result of `tokenize` as CONDITIONING."""
        (cond,) = self._encode_tokens(tokens).conds
        more = {**cond.extras, **(add_dict or {})}
        return [[cond.tokens, {"pooled_output": cond.pooled, **more}]]

    def encode(self, text: str) -> Tensor:
        """Return a text's hidden states."""
        return self.encode_from_tokens(self.tokenize(text))

    def _encode_tokens(self, tokens: Mapping[str, Any]) -> Conditioning:
        empty = self.tokenize("")
        chunks = {
            encoder.name: [
                [_as_token(item, _padding(encoder)) for item in part] for part in tokens[short]
            ]
            if (short := _short(encoder.name)) in tokens
            else encoder.chunks(None, _embeddings())
            for encoder in self.handle.text.found
        }
        most = max((len(each) for name, each in chunks.items() if _is_clip(name)), default=0)
        for name, each in chunks.items():
            if _is_clip(name) and each:
                padding = [_as_token(item) for item in empty[_short(name)][0]]
                chunks[name] = [*each, *[padding] * (most - len(each))]
        for name in self.handle.text.read_tokens:
            given = tokens.get(name, empty[name])
            chunks[name] = [[_as_token(item) for item in part] for part in given]
        encoded = self.handle.encode_chunks(chunks)
        pooled = None if encoded.pooled is None else encoded.pooled.cpu()
        return Conditioning((Cond(encoded.tokens.cpu(), pooled, extras=encoded.extras),))


def _embeddings() -> Embeddings:
    running = runtime.context()
    return Embeddings(runtime.files(), running.notice if running else _ignore)


def _short(encoder: str) -> str:
    """Return the name by which packs know an encoder's tokens."""
    return encoder.removeprefix("clip_")


def _is_clip(encoder: str) -> bool:
    return encoder.startswith("clip_")


def _as_tuple(token: Token, with_word: bool) -> tuple[Any, ...]:
    value = token.id if token.vector is None else token.vector
    return (value, token.weight, token.word) if with_word else (value, token.weight)


def _padding(encoder: TextEncoder) -> int | None:
    """Return the id of tokens that no other attends to; None if all count."""
    return encoder.rules.pad if encoder.rules.masks_padding else None


def _as_token(item: tuple[Any, ...], padding: int | None = None) -> Token:
    value, weight, *word = item
    number = int(word[0]) if word else 0
    if isinstance(value, Tensor):
        return Token(0, float(weight), number, value.detach().float().cpu())
    return Token(int(value), float(weight), number, is_padding=int(value) == padding)


class PackVae:
    """A VAE."""

    def __init__(self, handle: VaeHandle) -> None:
        self.handle = handle
        self.latent_channels = handle.channels
        self.output_channels = 3
        self.downscale_index_formula = self.upscale_index_formula = None
        """Frames, rows and columns per latent pixel of VAEs for video, which this is none of."""
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

    def encode_tiled(
        self, pixels: Tensor, tile_x: int = 512, tile_y: int = 512, overlap: int = 64, **_: object
    ) -> Tensor:
        """Encode [batch, height, width, 3] in tiles; their sizes are in pixels."""
        images = self.vae_encode_crop_pixels(pixels).movedim(-1, 1)[:, :3]
        step = self.handle.downscale
        size = min(tile_x, tile_y)
        plan = tilings(size, min(overlap, size // 4) // step * step, 1 / step)
        return compute_tiled(self.handle.encode, images, plan).cpu()

    def decode_tiled(
        self, samples: Tensor, tile_x: int = 64, tile_y: int = 64, overlap: int = 16, **_: object
    ) -> Tensor:
        """Decode latents in tiles; their sizes are in latent pixels."""
        size = min(tile_x, tile_y)
        plan = tilings(size, min(overlap, size // 4), float(self.handle.downscale))
        images = compute_tiled(self.handle.decode, samples, plan)
        return images.clamp(0.0, 1.0).movedim(1, -1).contiguous().cpu()

    def vae_encode_crop_pixels(self, pixels: Tensor) -> Tensor:
        """Return the centre of [batch, height, width, channels] that latent pixels cover whole."""
        from nodes.inference.vae import crop_to_vae  # Here: it imports much.

        return crop_to_vae(pixels.movedim(-1, 1), self.handle).movedim(1, -1)

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
