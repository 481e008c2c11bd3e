"""Which model family a LoRA was made for, as far as names and sizes tell."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nodes.families.family import LoraMark, NetworkSpec
from nodes.families.known import families
from nodes.weights.lora_file import LoraFile

_FOREIGN = (
    (r"transformer_blocks.\d+.img_m(lp|od)", "Qwen-Image"),
    (r"double_blocks\.\d+\.img_attn_q", "HunyuanVideo"),
    (r"(^|[._])blocks.\d+.(cross|self)_attn", "Wan"),
)
"""The names of modules, and the title, of families that are not here."""
_FEW = 1 / 3
"""The share of its modules that may be another family's by their names."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a LoRA looks like it was made for."""

    title: str | None
    """The family; None if it is none that is known."""
    kind: str | None
    """The kind of network; None if it is none of those here."""
    entry: str = ""
    """The entry of the network's configuration that `inputs` is."""
    inputs: int = 0

    def speaks_against(self, spec: NetworkSpec) -> bool:
        """Whether that is another network than this one."""
        if self.kind != spec.kind:
            return True
        return bool(self.entry) and self.inputs != spec.config.get(self.entry)


def likeness(file: LoraFile) -> Likeness | None:
    """Return what a LoRA looks like it was made for; None if nothing tells."""
    marks = [(mark, mark.title or each.title) for each in families() for mark in each.loras]
    named = [(mark.names, title, mark.network) for mark, title in marks if mark.inputs is None]
    for pattern, title, kind in (*((*each, None) for each in _FOREIGN), *named):
        if sum(bool(re.search(pattern, name)) for name in file.modules) > len(file.modules) * _FEW:
            return Likeness(title, kind)
    return _by_inputs(file, [(mark, title) for mark, title in marks if mark.inputs is not None])


def _by_inputs(file: LoraFile, marks: Iterable[tuple[LoraMark, str]]) -> Likeness | None:
    """By names that several families have, and how many numbers such modules read."""
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
    """How many numbers the modules of such names read."""
    for name, module in file.modules.items():
        key = module.get("down") or module.get("hada_w1_b") or module.get("diff")
        if key and pattern.search(name) and len(file.header.shape(key)) > 1:
            yield file.header.shape(key)[1]
