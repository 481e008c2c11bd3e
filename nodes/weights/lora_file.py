"""What a LoRA file holds: which tensors belong together, whatever trainer wrote it."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from nodes.weights.header import Header, read_header

_ADAPTER = r"(\.default(_\d+)?)?"  # PEFT's name for it
_PARTS: Mapping[str, str] = {
    "up": r"\.lora_up\.weight|[._]lora\.up\.weight|\.lora_B" + _ADAPTER + r"\.weight|\.lora_B"
    r"|\.lora_linear_layer\.up\.weight",
    "down": r"\.lora_down\.weight|[._]lora\.down\.weight|\.lora_A" + _ADAPTER + r"\.weight|\.lora_A"
    r"|\.lora_linear_layer\.down\.weight",
    "mid": r"\.lora_mid\.weight",
    "alpha": r"\.alpha",
    "dora_scale": r"\.dora_scale|\.lora_magnitude_vector" + _ADAPTER + r"(\.weight)?",
    "diff": r"\.diff|\.w_norm",
    "diff_b": r"\.diff_b|\.b_norm|\.lora_B\.bias",
    "set": r"\.set_weight|(?<=_norm\.scale)",
    "reshape": r"\.reshape_weight",
    "hada": r"\.(hada_w1_a|hada_w1_b|hada_w2_a|hada_w2_b|hada_t1|hada_t2)",
    "lokr": r"\.(lokr_w1|lokr_w2|lokr_w1_a|lokr_w1_b|lokr_w2_a|lokr_w2_b|lokr_t2)",
}
_PATTERNS = {part: re.compile(f"(?P<module>.+?)(?:{ends})") for part, ends in _PARTS.items()}
_COLLECTED = ("hada", "lokr")  # whose tensors go by their own names

Module: TypeAlias = Mapping[str, str]
"""The keys of one module's tensors, by what they are: `up`, `down`, `alpha`, `hada_w1_a`, …"""


@dataclass(frozen=True)
class LoraFile:
    """A LoRA file; equal to another by its content."""

    path: Path = field(compare=False)
    identity: str
    """The file's sha256."""

    @cached_property
    def header(self) -> Header:
        """Its header.

        Raises:
            NodeGraphError: it is damaged or of another format.
        """
        return read_header(self.path)

    @cached_property
    def modules(self) -> Mapping[str, Module]:
        """The modules it changes, by the name that stands before what a tensor is."""
        modules: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for key in self.header.tensors:
            for part, pattern in _PATTERNS.items():
                if match := pattern.fullmatch(key):
                    name = key.rpartition(".")[2] if part in _COLLECTED else part
                    modules[match["module"]][name] = key
                    break
        return dict(modules)

    @cached_property
    def strangers(self) -> list[str]:
        """The keys that belong to no module."""
        known = {key for module in self.modules.values() for key in module.values()}
        return sorted(self.header.tensors.keys() - known)
