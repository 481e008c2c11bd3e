"""What trainers call a network's weights in the LoRAs they write.

Kohya's scripts, OneTrainer and LyCORIS write module paths with underscores, in diffusers' or the
original code's names; diffusers and PEFT write paths with dots below `unet.`, `transformer.` and
`text_encoder.`; newer tools write the original code's paths as they are, bare or below
`diffusion_model.`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nodes.families.encoder_keys import LORA_NUMBERS, lora_paths
from nodes.families.family import NetworkSpec
from nodes.weights.network import Network
from nodes.weights.tables import Source

_FLAT = ("lora_unet_", "lora_transformer_", "lycoris_", "lycoris_unet_")
_DOTTED = (
    *("", "base_model.model.", "diffusion_model.", "model.diffusion_model."),
    *("unet.", "unet.base_model.model.", "transformer.", "transformer.base_model.model."),
)
_TEXT = (
    *("lora_te", "lycoris_te", "text_encoder"),
    *(f"{encoder}." for encoder in LORA_NUMBERS),
)


@dataclass(frozen=True, slots=True)
class Target:
    """The weights that one name of a LoRA means."""

    weights: tuple[str, ...]
    """The network's own keys."""
    stored: bool
    """Whether the change has the file's layout (fused, convolutional), or the network's."""


def is_for_text(name: str) -> bool:
    """Whether a name is one of those that weights of text encoders have."""
    return name.startswith(_TEXT)


def targets_of(network: Network) -> dict[str, Target]:
    """Every name that a LoRA may have for a weight of the network, without `.weight`."""
    spec = network.spec
    found: dict[str, Target] = {}
    fused: dict[str, list[str]] = {}
    for key, source in network.table.items():
        if key.endswith(".weight"):
            for name in _names(spec, key.removesuffix(".weight")):
                found[name] = Target((key,), stored=False)
        if not key.endswith(".bias"):
            fused.setdefault(_original(source), []).append(key)
    for original, keys in fused.items():
        for name in _stored_names(spec, original):
            found.setdefault(name, Target(tuple(keys), stored=True))
    return found


def _original(source: Source) -> str:
    return source.key.removesuffix(".weight")


def _names(spec: NetworkSpec, path: str) -> Iterator[str]:
    if spec.name in LORA_NUMBERS:
        yield from _text_names(spec, path)
        return
    yield from _prefixed(path)
    before, _, last = path.removesuffix(".0").rpartition(".")
    yield from (f"unet.{before}.processor.{last}", f"{before}.processor.{last}")


def _stored_names(spec: NetworkSpec, original: str) -> Iterable[str]:
    if spec.name in LORA_NUMBERS:
        return (original,)
    return (original, *_prefixed(original.removeprefix(spec.prefix)))


def _prefixed(path: str) -> Iterator[str]:
    flat = path.replace(".", "_")
    yield from (f"{prefix}{flat}" for prefix in _FLAT)
    yield from (f"{prefix}{path}" for prefix in _DOTTED)


def _text_names(spec: NetworkSpec, path: str) -> Iterator[str]:
    for whole in lora_paths(spec.kind, path):
        flat = whole.replace(".", "_")
        for number in LORA_NUMBERS[spec.name]:
            yield from (f"lora_te{number}_{flat}", f"lycoris_te{number}_{flat}")
            folder = f"text_encoder_{number}" if number not in ("", "1") else "text_encoder"
            yield from (f"{folder}.{whole}", f"{folder}.base_model.model.{whole}")
        yield f"text_encoders.{spec.name}.transformer.{whole}"
        yield from (f"{spec.name}.transformer.{whole}", f"{spec.name}.{whole}")
