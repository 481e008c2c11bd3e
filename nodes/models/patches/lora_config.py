"""The alphas that a LoRA's header, or a file beside it, gives where it has no tensors of them.

diffusers writes the configuration of PEFT as JSON, with the name of a component before each entry;
other trainers write such entries one by one. PEFT itself writes `adapter_config.json` into the
LoRA's folder. Its patterns and its rank-stabilized scale (rsLoRA, arXiv:2312.03732) are followed.
kohya's `ss_network_alpha` is not read: its own scripts take the rank where tensors are missing.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

_ENTRY = "lora_adapter_metadata"
_FILE = "adapter_config.json"
_PEFTS = "adapter_model"
"""The start of the name of PEFT's weights."""
_LARGEST = 1 << 20
_COMPONENTS = ("transformer", "unet", "text_encoder", "text_encoder_2", "text_encoder_3")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """The scale that a trainer used for the modules of one component."""

    component: str
    """The start of their names; empty for every module."""
    alpha: float | None
    patterns: Mapping[str, float]
    """Alphas of some modules, by the end of their names, which is a regular expression."""
    is_rank_stabilized: bool

    def alpha_of(self, module: str, rank: int) -> float | None:
        """Return the alpha of a module for `alpha / rank`; None if the configuration has none."""
        start = f"{self.component}." if self.component else ""
        if not module.startswith(start):
            return None
        name = module.removeprefix(start)
        own = (each for end, each in self.patterns.items() if _ends(name, end))
        alpha = next(own, self.alpha)
        return alpha * rank**0.5 if alpha is not None and self.is_rank_stabilized else alpha


def lora_configs(metadata: Mapping[str, str], beside: str = "") -> list[LoraConfig]:
    """Return the configurations in a header's metadata; empty if it gives no alpha.

    Args:
        metadata: of the header.
        beside: the text of a configuration beside the file, for one that has none in it.
    """
    entries = {**metadata, **_json_entries(metadata.get(_ENTRY, "{}"), _ENTRY)}
    return _configs(entries) or _configs(_json_entries(beside or "{}", _FILE))


def read_beside(path: Path) -> str:
    """Return the text of PEFT's configuration beside a LoRA; empty if there is none.

    The folder must be the LoRA's own: it is named as PEFT names it, or is the only one there.
    """
    config = path.with_name(_FILE)
    try:
        if not config.is_file() or config.stat().st_size > _LARGEST:
            return ""
        others = (each for each in path.parent.glob("*.safetensors") if each.name != path.name)
        if not path.name.startswith(_PEFTS) and any(others):
            return ""
        return config.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        _log.warning("%s can not be read and is not used: %s", config, error)
        return ""


def _configs(entries: Mapping[str, object]) -> list[LoraConfig]:
    found = (_config(entries, component) for component in ("", *_COMPONENTS))
    return [config for config in found if config.alpha is not None or config.patterns]


def _json_entries(text: str, place: str) -> Mapping[str, object]:
    try:
        entries: object = json.loads(text)
    except (ValueError, RecursionError):
        _log.warning("the LoRA's %s is not JSON and is not used", place)
        return {}
    return cast("dict[str, object]", entries) if isinstance(entries, dict) else {}


def _config(entries: Mapping[str, object], component: str) -> LoraConfig:
    start = f"{component}." if component else ""
    alpha = _number(entries.get(f"{start}lora_alpha"))
    stabilized = str(entries.get(f"{start}use_rslora")).lower() == "true"
    patterns = dict(_numbers(entries.get(f"{start}alpha_pattern")))
    return LoraConfig(component, alpha, patterns, stabilized)


def _numbers(pairs: object) -> Iterator[tuple[str, float]]:
    if isinstance(pairs, dict):
        for end, value in cast("dict[str, object]", pairs).items():
            number = _number(value)
            if number is not None:
                yield end, number


def _number(value: object) -> float | None:
    """Return a number, or the number that a text gives; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _ends(name: str, end: str) -> bool:
    try:
        return bool(re.fullmatch(rf"(.*\.)?({end})", name))
    except re.error:
        return name == end or name.endswith(f".{end}")
