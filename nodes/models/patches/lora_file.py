"""LoRA files: their tensors grouped by module, whatever trainer wrote them, and their sizes."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TypeAlias

from nodes.models.patches.lora_config import lora_configs
from nodes.models.weights.header import Header, read_header

_ADAPTER = r"(\.default(_\d+)?)?"  # PEFT's name of an adapter
_PARTS: Mapping[str, str] = {
    "up": r"\.lora_up\.weight|[._]lora\.up\.weight|\.lora_B" + _ADAPTER + r"\.weight|\.lora_B"
    r"|\.lora_linear_layer\.up\.weight",
    "down": r"\.lora_down\.weight|[._]lora\.down\.weight|\.lora_A" + _ADAPTER + r"\.weight|\.lora_A"
    r"|\.lora_linear_layer\.down\.weight",
    "mid": r"\.lora_mid\.weight",
    "alpha": r"\.alpha",
    "dora_scale": r"\.dora_scale|\.lora_magnitude_vector" + _ADAPTER + r"(\.weight)?",
    "diff": r"\.diff|\.w_norm",
    "diff_b": r"\.diff_b|\.b_norm",
    "up_bias": r"\.lora_B" + _ADAPTER + r"\.bias",
    "set": r"\.set_weight|(?<=_norm\.scale)",
    "reshape": r"\.reshape_weight",
    "hada": r"\.(hada_w1_a|hada_w1_b|hada_w2_a|hada_w2_b|hada_t1|hada_t2)",
    "lokr": r"\.(lokr_w1|lokr_w2|lokr_w1_a|lokr_w1_b|lokr_w2_a|lokr_w2_b|lokr_t2)",
}
_PATTERNS = {part: re.compile(f"(?P<module>.+?)(?:{ends})") for part, ends in _PARTS.items()}
_COLLECTED = ("hada", "lokr")  # whose tensors keep their own names

Module: TypeAlias = Mapping[str, str]
"""The keys of one module's tensors, by what they are: `up`, `down`, `alpha`, `hada_w1_a`, …"""


def modules_of(keys: Iterable[str]) -> Mapping[str, Module]:
    """Return the modules of a LoRA's keys by their names, which are the start of the keys."""
    modules: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for key in keys:
        for part, pattern in _PATTERNS.items():
            if match := pattern.fullmatch(key):
                name = key.rpartition(".")[2] if part in _COLLECTED else part
                modules[match["module"]][name] = key
                break
    return dict(modules)


@dataclass(frozen=True)
class LoraFile:
    """A LoRA file; equal to another by its content."""

    path: Path = field(compare=False)
    identity: str
    """The file's sha256."""
    config: str = ""
    """PEFT's configuration beside the file; empty if there is none."""

    @cached_property
    def header(self) -> Header:
        """Its header.

        Raises:
            NodeGraphError: it is damaged or of another format.
        """
        return read_header(self.path)

    @cached_property
    def modules(self) -> Mapping[str, Module]:
        """The modules by their names, which are the start of their tensors' keys."""
        return modules_of(self.header.tensors)

    @cached_property
    def configured_alphas(self) -> Mapping[str, float]:
        """The alphas of modules that have no tensor of it, as far as a configuration gives them."""
        configs = lora_configs(self.header.metadata, self.config)
        found: dict[str, float] = {}
        for name, module in self.modules.items() if configs else ():
            if "down" in module and "alpha" not in module:
                rank = self.header.shape(module["down"])[0]
                alphas = (config.alpha_of(name, rank) for config in configs)
                found.update((name, alpha) for alpha in alphas if alpha is not None)
        return found

    @cached_property
    def unknown_keys(self) -> list[str]:
        """The keys that belong to no module."""
        known = {key for module in self.modules.values() for key in module.values()}
        return sorted(self.header.tensors.keys() - known)


def weight_size(header: Header, module: Module) -> int | None:
    """Return the size of the weight that a module changes; None if it changes a bias only."""
    sizes = _Sizes(header, module)
    if "up" in module and "down" in module:
        return sizes.product("up", "down", "mid")
    if "hada_w1_a" in module and "hada_w1_b" in module:
        return sizes.product("hada_w1_a", "hada_w1_b", "hada_t1", turned=True)
    if any(part.startswith("lokr") for part in module):
        return sizes.factor(1) * sizes.factor(2)
    whole = module.get("diff") or module.get("set")
    return prod(header.shape(whole)) if whole else None


def factored_size(header: Header, module: Module) -> int | None:
    """Return the size of a change that is factors alone; None for a whole change and for DoRA's.

    A whole change has no factors, and DoRA's reads the weight that it changes.
    """
    if module.keys() & {"set", "diff", "dora_scale"}:
        return None
    return weight_size(header, module)


class _Sizes:
    def __init__(self, header: Header, module: Module) -> None:
        self._shapes = {part: header.shape(key) for part, key in module.items()}

    def product(self, first: str, second: str, core: str, *, turned: bool = False) -> int:
        """Return the size of two matrices' product, or of a Tucker decomposition.

        Args:
            first: the matrix of the outputs.
            second: that of the inputs.
            core: the part between them, if there is one.
            turned: with a core, the first matrix has its rank in front.
        """
        rows, columns = self._shapes[first], self._shapes[second]
        if core not in self._shapes:
            return rows[0] * prod(columns[1:])
        outputs = rows[1] if turned else rows[0]
        return outputs * columns[1] * prod(self._shapes[core][2:])

    def factor(self, number: int) -> int:
        """Return the size of one factor of a Kronecker product; 0 if it is not there."""
        whole = f"lokr_w{number}"
        if whole in self._shapes:
            return prod(self._shapes[whole])
        halves = (f"{whole}_a", f"{whole}_b")
        if not all(half in self._shapes for half in halves):
            return 0
        return self.product(*halves, f"lokr_t{number}", turned=True)
