"""The names of LoRAs' modules: the weights they mean, and the model family they point to."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nodes.models.families.base.encoder_keys import LORA_NUMBERS, lora_paths
from nodes.models.families.base.spec import LoraMark, NetworkSpec
from nodes.models.families.registry import families
from nodes.models.loading.network import Network
from nodes.models.patches.lora_file import LoraFile
from nodes.models.weights.key_table import Source

_FOREIGN = (
    (r"double_blocks\.\d+\.img_attn_q", "HunyuanVideo"),
    (r"(^|[._])blocks.\d+.(cross|self)_attn.[qkvo](_img)?$", "Wan"),
)
"""Patterns of the modules of families and their titles; unused once a family has the title."""
_FEW = 1 / 3
"""A LoRA is for a family if more than this share of its modules has the family's names."""
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
class Likeness:
    """The network that a LoRA was probably made for."""

    title: str | None
    """The title of its family; None if it is not known."""
    kind: str | None
    """The kind of network; None if it is not one of those here."""
    entry: str = ""
    """The entry of the network's configuration that should equal `inputs`."""
    inputs: int = 0

    def contradicts(self, spec: NetworkSpec) -> bool:
        """Return True if that is another network than this one."""
        if self.kind != spec.kind:
            return True
        return bool(self.entry) and self.inputs != spec.config.get(self.entry)


def likeness(file: LoraFile, wanted: str = "") -> Likeness | None:
    """Return the network that a LoRA was probably made for; None if nothing tells.

    Args:
        file: the LoRA.
        wanted: the kind of network that it is meant to change, which comes before others if the
            names fit them, too.
    """
    marks = [(mark, mark.title or each.title) for each in families() for mark in each.loras]
    marks.sort(key=lambda pair: pair[0].network != wanted)
    named = [(mark.names, title, mark.network) for mark, title in marks if mark.inputs is None]
    foreign = [(names, title, None) for names, title in _FOREIGN if not _is_known(title)]
    for pattern, title, kind in (*foreign, *named):
        if sum(bool(re.search(pattern, name)) for name in file.modules) > len(file.modules) * _FEW:
            return Likeness(title, kind)
    return _by_inputs(file, [(mark, title) for mark, title in marks if mark.inputs is not None])


def _is_known(title: str) -> bool:
    return any(title.casefold() in family.title.casefold() for family in families())


def _by_inputs(file: LoraFile, marks: Iterable[tuple[LoraMark, str]]) -> Likeness | None:
    """Return the network by names that several families share and the width of their inputs."""
    unknown: Likeness | None = None
    for mark, title in marks:
        inputs = next(_inputs(file, re.compile(mark.names)), None)
        if inputs is None or mark.inputs is None:
            continue
        if inputs in mark.inputs:
            return Likeness(title, mark.network, mark.entry, inputs)
        unknown = unknown or Likeness(None, mark.network, mark.entry, inputs)
    return unknown


def _inputs(file: LoraFile, pattern: re.Pattern[str]) -> Iterator[int]:
    """Yield the width of the inputs of modules with such names."""
    for name, module in file.modules.items():
        key = module.get("down") or module.get("hada_w1_b") or module.get("diff")
        if key and pattern.search(name) and len(file.header.shape(key)) > 1:
            yield file.header.shape(key)[1]


@dataclass(frozen=True, slots=True)
class Target:
    """The weights that one name of a LoRA means."""

    weights: tuple[str, ...]
    """The network's own keys."""
    stored: bool
    """True if the change has the file's layout (fused, convolutional), else the network's."""


def is_for_text(name: str) -> bool:
    """Return True for a name of a text encoder's module."""
    return name.startswith(_TEXT)


def targets_of(network: Network) -> dict[str, Target]:
    """Return every name that a LoRA may have for a weight of the network, without `.weight`."""
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
    yield from _with_prefixes(path)
    yield from _names_of_parts(spec, path)
    before, _, last = path.removesuffix(".0").rpartition(".")
    yield from (f"unet.{before}.processor.{last}", f"{before}.processor.{last}")


def _names_of_parts(spec: NetworkSpec, path: str) -> Iterator[str]:
    """Yield diffusers' names of a layer of a module that has a folder of its own there."""
    for layout in (layout for family in families() for layout in family.layouts):
        if next(iter(layout.parts.values())).name == spec.kind:
            for folder, start in layout.modules.items():
                if path.startswith(start):
                    yield f"{folder}.{path.removeprefix(start)}"


def _stored_names(spec: NetworkSpec, original: str) -> Iterable[str]:
    if spec.name in LORA_NUMBERS:
        return (original,)
    return (original, *_with_prefixes(original.removeprefix(spec.prefix)))


def _with_prefixes(path: str) -> Iterator[str]:
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
