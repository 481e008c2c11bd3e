"""Read ComfyUI's `extra_model_paths.yaml`: model folders that other programs already have."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import yaml

from nodegraph.errors import SettingsError
from nodegraph.files.folders import FORMER_NAMES


def read_extra_paths(path: Path) -> Mapping[str, tuple[Path, ...]]:
    """The folders that the file names, by model folder, in its order.

    Each section may have a `base_path`, which the others are relative to; itself it is
    relative to the file. Several folders of one kind are lines of one text.

    Raises:
        SettingsError: the file cannot be read, or is no such file.
    """
    try:
        sections: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        message = f"{path} cannot be read: {error}"
        raise SettingsError(message) from error
    if not isinstance(sections, dict):
        message = f"{path} is no mapping of sections."
        raise SettingsError(message, hint="It is written like ComfyUI's extra_model_paths.yaml.")
    found: dict[str, tuple[Path, ...]] = {}
    for section in cast("dict[str, object]", sections).values():
        if isinstance(section, dict):
            _add_section(found, cast("dict[str, object]", section), path.parent)
    return found


def _add_section(
    found: dict[str, tuple[Path, ...]], section: Mapping[str, object], beside: Path
) -> None:
    base = beside / _expand(section.get("base_path") or "")
    for key, value in section.items():
        if key in ("base_path", "is_default", "custom_nodes") or not isinstance(value, str):
            continue
        folder = FORMER_NAMES.get(key, key)
        places = tuple(base / _expand(line) for line in value.split("\n") if line.strip())
        found[folder] = (*found.get(folder, ()), *places)


def _expand(text: object) -> Path:
    return Path(os.path.expandvars(str(text).strip())).expanduser()
