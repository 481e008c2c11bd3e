"""Conversion of link values from and to ComfyUI's form."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor

from nodegraph.graph.results import Blocked
from nodes.comfy.values.conditions import (
    conditioning_from,
    conditioning_to,
    copy_of,
    host_copy,
    is_conditioning,
)
from nodes.comfy.values.encoders import PackClip, PackVae
from nodes.comfy.values.media import PackVideo, audio_to, media_from
from nodes.comfy.values.models import PackModel
from nodes.comfy.values.sampling.guider_runs import guider_from, guider_to, model_from
from nodes.comfy.values.sampling.guiders import CFGGuider
from nodes.comfy.values.sampling.k_diffusion import ksampler_of
from nodes.comfy.values.sampling.noise import PackNoise, noise_from
from nodes.comfy.values.sampling.samplers import PackSampling, Sampler
from nodes.comfy.values.upscaler import PackUpscaler
from nodes.inference.sample import Guider
from nodes.media.values import Audio, VideoFile, VideoFrames
from nodes.models.adapters.upscaler import UpscaleModel
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.sampling.samplers.registry import SamplerOrName
from nodes.values import Conditioning, Latent, Noise

_NOISE, _SAMPLER = "NOISE", "SAMPLER"
_LATENT_KEYS = ("samples", "noise_mask", "batch_index")


@dataclass(frozen=True, slots=True)
class ExecutionBlocker:
    """Stops every node that reads it from running."""

    message: str | None = None


def latent_to(latent: Latent) -> dict[str, Any]:
    """Convert a latent to ComfyUI's dict; its tensors are copies."""
    values: dict[str, Any] = {"samples": host_copy(latent.samples).contiguous()}
    if latent.noise_mask is not None:
        values["noise_mask"] = host_copy(latent.noise_mask)
    if latent.batch_index is not None:
        values["batch_index"] = list(latent.batch_index)
    extras = {key: copy_of(value) for key, value in latent.extras.items()}
    return extras | values


def latent_from(values: dict[str, Any]) -> Latent:
    """Convert ComfyUI's dict to a latent; a mask gets four dimensions."""
    mask, index = values.get("noise_mask"), values.get("batch_index")
    if isinstance(mask, Tensor) and mask.ndim < 4:
        mask = mask.reshape(-1, 1, *mask.shape[-2:])
    return Latent(
        samples=values["samples"],
        noise_mask=mask,
        batch_index=None if index is None else tuple(index),
        extras={key: value for key, value in values.items() if key not in _LATENT_KEYS},
    )


_TO: dict[type, Callable[[Any], object]] = {
    Latent: latent_to,
    Conditioning: conditioning_to,
    ModelHandle: PackModel,
    ClipHandle: PackClip,
    VaeHandle: PackVae,
    Audio: audio_to,
    VideoFile: PackVideo,
    VideoFrames: PackVideo,
    Guider: guider_to,
    Noise: PackNoise,
    UpscaleModel: PackUpscaler,
}
_FROM: dict[type, Callable[[Any], object]] = {
    PackModel: model_from,
    PackClip: lambda clip: clip.to_native(),
    PackVae: lambda vae: vae.handle,
    PackVideo: lambda video: video.video,
    PackUpscaler: lambda upscaler: upscaler.native,
    CFGGuider: guider_from,
    Sampler: lambda sampler: sampler.to_native(),
    ExecutionBlocker: lambda blocker: Blocked(blocker.message),
}


def to_pack(value: object, socket: str = "*") -> object:
    """Convert a value to ComfyUI's form.

    Args:
        value: of a link, or a literal.
        socket: that it is for; a sampler is known by it alone.
    """
    if isinstance(value, Tensor):
        return host_copy(value)
    convert = _sampler_to if socket == _SAMPLER else _TO.get(type(value))
    if convert:
        return convert(value)
    if type(value) is dict:
        items_by_key = cast("dict[object, object]", value)
        return {key: to_pack(item, socket) for key, item in items_by_key.items()}
    if type(value) is list or type(value) is tuple:
        items = cast("Sequence[object]", value)
        return type(value)(to_pack(item, socket) for item in items)
    return value


def _sampler_to(value: Any) -> object:
    """Convert the value of a SAMPLER link; lists item by item."""
    if isinstance(value, list):
        return [_sampler_to(item) for item in cast("list[object]", value)]
    native = isinstance(value, str | PackSampling) or callable(value)
    return ksampler_of(cast("SamplerOrName", value)) if native else cast("object", value)


def move_to_cpu(value: object) -> object:
    """Return a value with the tensors in it on the CPU; the same object if they are there."""
    if isinstance(value, Tensor):
        return value.cpu()
    if type(value) is dict:
        items_by_key = cast("dict[object, object]", value)
        moved = {key: move_to_cpu(item) for key, item in items_by_key.items()}
        return moved if any(moved[key] is not items_by_key[key] for key in moved) else value
    if type(value) is list or type(value) is tuple:
        items = cast("Sequence[object]", value)
        there = [move_to_cpu(item) for item in items]
        changed = any(new is not old for new, old in zip(there, items, strict=True))
        return type(value)(there) if changed else value
    return value


def from_pack(value: object, socket: str) -> object:
    """Convert a value that a pack returned, for a socket.

    Its tensors come to the CPU, which packs are told is the device between nodes.
    """
    value = move_to_cpu(value)
    ours = next((back for kind, back in _FROM.items() if isinstance(value, kind)), None)
    if ours:
        return ours(value)
    if socket == _NOISE and hasattr(value, "generate_noise"):
        return noise_from(value)
    if isinstance(value, dict) and socket in ("LATENT", "*"):
        latent = cast("dict[str, Any]", value)
        return latent_from(latent) if isinstance(latent.get("samples"), Tensor) else latent
    if socket in ("CONDITIONING", "*") and is_conditioning(value):
        return conditioning_from(cast("Any", value))
    return media_from(value, socket)
