"""Which model family a LoRA was made for, as far as names and sizes tell."""

import re
from collections.abc import Iterator, Mapping

from nodes.weights.lora_file import LoraFile

_NAMES: tuple[tuple[str, str], ...] = (
    (r"double_blocks.\d+.img_attn|single_(transformer_)?blocks.\d+", "FLUX.1"),
    (r"joint_blocks.\d+|transformer_blocks.\d+.attn.add_[qkv]_proj", "Stable Diffusion 3.x"),
)
_TEXT_WIDTHS: Mapping[int, str] = {
    768: "Stable Diffusion 1.5",
    1024: "Stable Diffusion 2.x",
    1280: "Stable Diffusion XL (refiner)",
    2048: "Stable Diffusion XL",
}
_READS_TEXT = re.compile(r"attn2[._](processor[._])?to_[kv]")


def looks_like(file: LoraFile) -> str | None:
    """The title of the family; None if nothing tells."""
    for name in file.modules:
        for pattern, title in _NAMES:
            if re.search(pattern, name):
                return title
    return next((title for title in _by_width(file) if title), None)


def _by_width(file: LoraFile) -> Iterator[str | None]:
    """U-Nets have the same names, but read text of different widths."""
    for name, module in file.modules.items():
        key = module.get("down") or module.get("hada_w1_b") or module.get("diff")
        if key and _READS_TEXT.search(name):
            yield _TEXT_WIDTHS.get(file.header.shape(key)[1])
