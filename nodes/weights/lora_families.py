"""Which model family a LoRA was made for, as far as names and sizes tell."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nodes.families.family import NetworkSpec
from nodes.weights.lora_file import LoraFile

_SD3, _FLUX = "Stable Diffusion 3.x", "FLUX.1"
_NAMES: tuple[tuple[str, str | None, str], ...] = (
    (r"transformer_blocks.\d+.img_m(lp|od)", None, "Qwen-Image"),
    (r"double_blocks\.\d+\.img_attn_q", None, "HunyuanVideo"),
    (r"(^|[._])blocks.\d+.(cross|self)_attn", None, "Wan"),
    (r"double_blocks.\d+.(img|txt)_|single_(transformer_)?blocks.\d+", "flux", _FLUX),
    (r"joint_blocks.\d+", "mmdit", _SD3),
)
"""By what only that family's names have: the kind of network here, if any, and its title."""
_JOINT = re.compile(r"(?<!single_)transformer_blocks.\d+.attn.add_[qkv]_proj")
"""In diffusers' names, which FLUX.1 and SD3 share; the first is wider than any of the second."""
_FLUX_WIDTH = 3072
_FEW = 1 / 3
"""The share of its modules that may be another family's by their names."""
_TEXT_WIDTHS: Mapping[int, str] = {
    768: "Stable Diffusion 1.x",
    1024: "Stable Diffusion 2.x",
    1280: "Stable Diffusion XL (refiner)",
    2048: "Stable Diffusion XL",
}
_READS_TEXT = re.compile(r"attn2[._](processor[._])?to_[kv]")


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a LoRA looks like it was made for."""

    title: str | None
    """The family; None if it is none that is known."""
    kind: str | None
    """The kind of network; None if it is none of those here."""
    width: int | None = None
    """How wide the text is that a U-Net reads."""

    def speaks_against(self, spec: NetworkSpec) -> bool:
        """Whether that is another network than this one."""
        if self.kind != spec.kind:
            return True
        return self.width not in (None, spec.config.get("cross_attention_dim"))


def likeness(file: LoraFile) -> Likeness | None:
    """What a LoRA looks like it was made for; None if nothing tells."""
    for pattern, kind, title in _NAMES:
        if sum(bool(re.search(pattern, name)) for name in file.modules) > len(file.modules) * _FEW:
            return Likeness(title, kind)
    for width in _inputs(file, _JOINT):
        wide = width >= _FLUX_WIDTH
        return Likeness(_FLUX if wide else _SD3, "flux" if wide else "mmdit")
    return next(
        (Likeness(_TEXT_WIDTHS.get(n), "unet", n) for n in _inputs(file, _READS_TEXT)), None
    )


def _inputs(file: LoraFile, pattern: re.Pattern[str]) -> Iterator[int]:
    """How many numbers the modules of such names read."""
    for name, module in file.modules.items():
        key = module.get("down") or module.get("hada_w1_b") or module.get("diff")
        if key and pattern.search(name) and len(file.header.shape(key)) > 1:
            yield file.header.shape(key)[1]
