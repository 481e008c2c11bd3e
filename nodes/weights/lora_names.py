"""What trainers call a network's weights in the LoRAs they write.

Kohya's scripts write module paths with underscores, diffusers' or the original code's; diffusers
and PEFT write paths with dots below `unet.` and `text_encoder.`; newer tools write the original
code's paths as they are, below `diffusion_model.`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nodes.weights.network import Network
from nodes.weights.tables import Source


@dataclass(frozen=True, slots=True)
class Target:
    """The weights that one name of a LoRA means."""

    weights: tuple[str, ...]
    """The network's own keys."""
    stored: bool
    """Whether the change has the file's layout (fused, convolutional), or the network's."""


def targets_of(network: Network) -> dict[str, Target]:
    """Every name that a LoRA may have for a weight of the network, without `.weight`."""
    unet = network.spec.kind == "unet"
    found: dict[str, Target] = {}
    fused: dict[str, list[str]] = {}
    for key, source in network.table.items():
        if not key.endswith(".weight"):
            continue
        path = key.removesuffix(".weight")
        for name in _unet_names(path) if unet else _text_names(path):
            found[name] = Target((key,), stored=False)
        fused.setdefault(_original(source), []).append(key)
    for original, keys in fused.items():
        inner = original.removeprefix(network.spec.prefix)
        for name in _stored_names(original, inner, unet):
            found.setdefault(name, Target(tuple(keys), stored=True))
    return found


def _original(source: Source) -> str:
    return source.key.removesuffix(".weight")


def _unet_names(path: str) -> Iterator[str]:
    flat = path.replace(".", "_")
    yield from (f"lora_unet_{flat}", f"lycoris_{flat}", f"lycoris_unet_{flat}")
    yield from (f"unet.{path}", f"unet.base_model.model.{path}", f"base_model.model.{path}", path)
    before, _, last = path.removesuffix(".0").rpartition(".")
    yield from (f"unet.{before}.processor.{last}", f"{before}.processor.{last}")


def _text_names(path: str) -> Iterator[str]:
    path = f"text_model.{path}"
    flat = path.replace(".", "_")
    yield from (f"lora_te_{flat}", f"lora_te1_{flat}", f"lycoris_te_{flat}")
    yield from (f"text_encoder.{path}", f"text_encoder.base_model.model.{path}")
    yield from (f"clip_l.transformer.{path}", f"text_encoders.clip_l.transformer.{path}")


def _stored_names(original: str, inner: str, unet: bool) -> Iterable[str]:
    if not unet:
        return (original,)
    flat = inner.replace(".", "_")
    return (f"lora_unet_{flat}", f"lycoris_{flat}", f"diffusion_model.{inner}", original)
