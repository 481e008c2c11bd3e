"""Conversion of values for packs: to ComfyUI's on the way in, back on the way out.

Packs get copies: tensors are cloned, containers copied.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

from torch import Tensor

from nodegraph.results import Blocked
from nodes.comfy.blocking import ExecutionBlocker
from nodes.comfy.conditions import conditioning_from, conditioning_to, is_conditioning
from nodes.comfy.latents import latent_from, latent_to
from nodes.comfy.models import PackClip, PackModel, PackVae
from nodes.values import Conditioning, Latent
from nodes.weights.handle import ClipHandle, ModelHandle, VaeHandle

_TO: dict[type, Callable[[Any], object]] = {
    Latent: latent_to,
    Conditioning: conditioning_to,
    ModelHandle: PackModel,
    ClipHandle: PackClip,
    VaeHandle: PackVae,
}


_FROM: dict[type, Callable[[Any], object]] = {
    PackModel: PackModel.to_handle,
    PackClip: lambda clip: clip.handle,
    PackVae: lambda vae: vae.handle,
    ExecutionBlocker: lambda blocker: Blocked(blocker.message),
}


def to_pack(value: object) -> object:
    """Convert a value to ComfyUI's form."""
    if isinstance(value, Tensor):
        return value.clone()
    convert = _TO.get(type(value))
    if convert:
        return convert(value)
    if type(value) is dict:
        held = cast("dict[object, object]", value)
        return {key: to_pack(item) for key, item in held.items()}
    if type(value) is list or type(value) is tuple:
        items = cast("Sequence[object]", value)
        return type(value)(to_pack(item) for item in items)
    return value


def from_pack(value: object, socket: str) -> object:
    """Convert a value that a pack returned, for a socket."""
    ours = next((back for kind, back in _FROM.items() if isinstance(value, kind)), None)
    if ours:
        return ours(value)
    if isinstance(value, dict) and socket in ("LATENT", "*"):
        held = cast("dict[str, Any]", value)
        return latent_from(held) if isinstance(held.get("samples"), Tensor) else held
    if socket in ("CONDITIONING", "*") and is_conditioning(value):
        return conditioning_from(cast("Any", value))
    return value
